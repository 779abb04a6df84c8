"""Plugins are switched on and off in the settings, and nothing else in the file changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamahome_core import ConfigError, Kernel, UnknownNameError
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.policy import settings_policy
from llamahome_core.switch import switch


@pytest.fixture
def kernel(make_kernel: Any) -> Kernel:
    """One that knows the plugins a, b and c."""
    plugins = [Plugin(name=name, origin=f"llamahome-{name} 1.0") for name in "abc"]
    made: Kernel = make_kernel(plugins=plugins, policy=Policy(own=True))
    return made


def write(kernel: Kernel, text: str, name: str = "llamahome.toml") -> Path:
    path = kernel.workspace.config / name
    path.write_text(text)
    return path


def blocked(kernel: Kernel) -> tuple[Any, Any]:
    policy, error = settings_policy(kernel.workspace, kernel.environ, kernel.user_file)
    assert error is None
    return policy.blocked, policy.only


TOML = '# mine\n[train]\nclip = 2.0  # much\n\n[plugins]  # these\nblock = ["b"]  # slow\n'
YAML = '# mine\ntrain:\n  clip: 2.0  # much\nplugins:  # these\n  block: ["b"]  # slow\n'
JSON = '{\n  "train": {"clip": 2.0},\n  "plugins": {\n    "block": ["b"]\n  }\n}\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [("llamahome.toml", TOML), ("training_config.yaml", YAML), ("training_config.json", JSON)],
)
def test_one_list_changes_and_everything_else_stays(kernel, name, text):
    """In each format; and back again, byte by byte."""
    path = write(kernel, text, name)

    done = switch(kernel, "a", Policy(), on=False)

    assert path.read_text() == text.replace('["b"]', '["b", "a"]')
    assert (done.files, done.block, done.enable) == ((path,), ("b", "a"), None)
    assert switch(kernel, "a", Policy(), on=True).files == (path,)
    assert path.read_text() == text


LINES = {
    "llamahome.toml": '[plugins]\nblock = [\n  "b", # slow\n  "c", # loud\n]\n',
    "llamahome.yaml": 'plugins:\n  block:\n    - "b" # slow\n    - "c" # loud\n  strict: true\n',
    "training_config.yaml": 'plugins:\n  block: [\n    "b", # slow\n    "c" # loud\n  ]\n',
    "training_config.json": '{"plugins": {"block": [\n  "b",\n  "c"\n]}}\n',
}


@pytest.mark.parametrize("name", LINES)
def test_a_list_of_several_lines_gets_one_more_and_loses_one(kernel, name):
    """What is said beside the others stays."""
    path = write(kernel, LINES[name], name)

    switch(kernel, "a", Policy(), on=False)

    assert blocked(kernel) == ({"a", "b", "c"}, None)
    assert len(path.read_text().splitlines()) == len(LINES[name].splitlines()) + 1
    for other in ("c", "b"):
        switch(kernel, other, Policy(), on=True)
        assert other not in blocked(kernel)[0]
    assert "# slow" not in path.read_text()
    assert len(path.read_text().splitlines()) == len(LINES[name].splitlines()) - 1


@pytest.mark.parametrize("name", LINES)
def test_there_and_back_is_the_same_text(kernel, name):
    path = write(kernel, LINES[name], name)

    for on in (False, True):
        switch(kernel, "a", Policy(), on=on)

    assert path.read_text() == LINES[name]


def test_comments_that_would_be_lost_are_a_refusal(kernel):
    text = '[plugins]\nblock = [ # these\n  "b", "c",\n]\n'
    path = write(kernel, text)

    with pytest.raises(ConfigError, match="there are comments in the list"):
        switch(kernel, "a", Policy(), on=False)
    assert path.read_text() == text


def test_nothing_is_written_where_it_says_so_already(kernel):
    path = write(kernel, "")

    assert switch(kernel, "a", Policy(), on=True).files == ()
    assert path.read_text() == ""
    switch(kernel, "a", Policy(), on=False)
    assert switch(kernel, "a", Policy(), on=False).files == ()


def test_a_list_that_is_empty_again_goes_with_its_table(kernel):
    path = write(kernel, "seed = 1\n")
    switch(kernel, "a", Policy(), on=False)
    switch(kernel, "a", Policy(), on=True)

    assert path.read_text() == "seed = 1\n"


def test_a_list_of_those_that_may_load_gets_the_name(kernel):
    """It is no longer blocked, and it would not load without being named."""
    write(kernel, '[plugins]\nenable = ["b"]\nblock = ["a"]\n')

    done = switch(kernel, "a", Policy(), on=True)

    assert (done.block, done.enable, done.kept_out) == ((), ("b", "a"), "")
    assert blocked(kernel) == (frozenset(), {"a", "b"})


def test_the_users_list_is_not_lost_when_the_workspace_gets_one(kernel):
    """A list replaces the one below it, so it begins with what that says."""
    user = kernel.user_file
    assert user
    user.write_text('[plugins]\nblock = ["b"]\n')

    done = switch(kernel, "a", Policy(), on=False)

    assert done.files == (kernel.workspace.config / "llamahome.toml",)
    assert blocked(kernel) == ({"a", "b"}, None)
    assert user.read_text() == '[plugins]\nblock = ["b"]\n'
    for name in "ab":
        switch(kernel, name, Policy(), on=True)
    assert blocked(kernel) == (frozenset(), None), "an empty list hides that of the user"


def test_the_users_file_can_be_changed_instead(kernel):
    write(kernel, "")

    done = switch(kernel, "a", Policy(), on=False, user=True)

    assert done.files == (kernel.user_file,)
    assert blocked(kernel) == ({"a"}, None)


def test_a_name_that_is_in_a_list_and_no_longer_installed_can_be_removed(kernel):
    path = write(kernel, '[plugins]\nblock = ["ghost", "a"]\nenable = ["spirit", "b"]\n')

    done = switch(kernel, "ghost", Policy(), on=True)
    switch(kernel, "spirit", Policy(), on=False)

    assert done.kept_out == "it is not installed"
    assert path.read_text() == '[plugins]\nblock = ["a"]\nenable = ["b"]\n'


@pytest.mark.parametrize("on", [True, False])
def test_a_name_that_is_neither_is_refused_with_the_nearest(kernel, on):
    write(kernel, '[plugins]\nblock = ["ghost"]\nenable = ["ghost"]\n')

    with pytest.raises(UnknownNameError, match="no plugin is called 'ghots'") as caught:
        switch(kernel, "ghots", Policy(), on=on)
    assert caught.value.hint == "did you mean 'ghost'?"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Policy.parse(["no:a"], source="-p"), "-p blocks it"),
        (Policy.parse(["b"], source="LLAMAHOME_PLUGINS"), "LLAMAHOME_PLUGINS does not name it"),
        (Policy(), ""),
    ],
)
def test_what_else_keeps_it_out_is_told(kernel, asked, told):
    write(kernel, '[plugins]\nblock = ["a"]\n')

    assert switch(kernel, "a", asked, on=True).kept_out == told


def test_a_stronger_layer_that_lets_it_load_is_seen(make_kernel):
    """A list in the environment replaces that of the file."""
    plugins = [Plugin(name="a", origin="llamahome-a 1.0")]
    kernel = make_kernel(
        plugins=plugins, policy=Policy(own=True), environ={"LLAMAHOME_PLUGINS__BLOCK": "[]"}
    )

    assert switch(kernel, "a", Policy(), on=False).kept_out == ""


def test_settings_of_a_plugin_that_is_not_loaded_are_no_obstacle(kernel):
    """Nothing of a third party is loaded to switch it off."""
    user = kernel.user_file
    assert user
    user.write_text('[cache]\nuse = "a-cache"\n')

    assert switch(kernel, "a", Policy(), on=False).block == ("a",)


def test_what_is_no_list_is_left_to_its_author(kernel):
    path = write(kernel, '[plugins]\nblock = "a"\n')

    with pytest.raises(ConfigError):
        switch(kernel, "a", Policy(), on=False)
    assert path.read_text() == '[plugins]\nblock = "a"\n'
