"""``llamahome config``: one setting is read, set and unset; what would be wrong changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llamahome_core import Kernel
from llamahome_core.changes import change
from llamahome_core.config import ConfigError
from llamahome_core.discovery import Policy

MINE = """\
# Mine.
[train]
clip = 0.5  # half

# Later:
[checkpoint]
every = 50
"""


@pytest.fixture
def file(workspace):
    path = workspace.config / "llamahome.toml"
    path.write_text(MINE)
    return path


def test_what_is_set_is_read_and_what_is_unset_is_as_before(cli, file):
    """The file that was changed is the result; nothing else in it moves."""
    done = cli("config", "set", "train.steps", "7")

    assert (done.code, done.out, done.err) == (0, f"{file}\n", "")
    assert file.read_text() == MINE.replace("# half\n", "# half\nsteps = 7\n")
    assert cli("config", "get", "train.steps").out == "7\n"
    assert cli("config", "unset", "train.steps").code == 0
    assert file.read_text() == MINE
    assert cli("config", "get", "train.steps").out == "null\n"
    assert cli("config", "get", "train.log_every").out == "1\n"


def test_a_table_is_read_with_all_its_values(cli, file):
    found = json.loads(cli("config", "get", "checkpoint", "--json").out)["settings"]

    assert found == [
        {"key": "checkpoint.every", "value": 50},
        {"key": "checkpoint.keep_last", "value": 2},
    ]
    assert "checkpoint.every" in cli("config", "get", "checkpoint").out
    assert cli("config", "get", "checkpoint", "--project").out.count("checkpoint") == 1
    assert file.exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train.stpes", "5", "did you mean `steps`?"),
        ("trainn.steps", "5", "did you mean `train`?"),
        ("train.steps", "five", "must be a whole number"),
        ("train.steps", "0", "must be greater than 0"),
        ("train.precision", "bf61", 'did you mean "bf16"?'),
        ("optimizer.use", "adamv", "adamw"),
        ("optimizer.lr", "1e-4", "did you mean `learning_rate`?"),
        ("train", "5", "it is a table"),
        ("train.clip.x", "5", "`train.clip.x` is not there"),
        ("data.0.path", "x", "must be a list"),
        ("model.hub.token", "hf_canary", "write `env:NAME` or `file:/path`"),
        ("a b", "5", "no name of a setting"),
        ("extends", "base.toml", "only a recipe extends another"),
    ],
)
def test_what_would_be_wrong_changes_nothing(cli, file, key, value, words):
    """The exit code is 2, and what was typed is shown, with what was perhaps meant."""
    done = cli("config", "set", key, value)

    assert done.code == 2
    assert words in done.err
    assert "canary" not in done.err
    assert file.read_text() == MINE
    assert list(file.parent.iterdir()) == [file]


def test_a_wrong_value_is_refused_also_where_a_stronger_layer_hides_it(cli, over, kernel, file):
    stronger = over(kernel, environ={"LLAMAHOME_TRAIN__STEPS": "5"})

    done = cli("config", "set", "train.steps", "five", over=stronger)

    assert (done.code, file.read_text()) == (2, MINE)
    done = cli("config", "set", "train.steps", "7", over=stronger)
    assert done.code == 0
    assert "in effect is still 5: environment variable LLAMAHOME_TRAIN__STEPS" in done.err


def test_settings_that_are_wrong_already_can_be_mended_one_by_one(cli, file):
    """What was wrong before does not stand in the way; what is new does."""
    file.write_text("[train]\nstpes = 1\nclpi = 2\n")

    assert cli("config", "set", "train.steps", "x").code == 2
    assert cli("config", "set", "train.steps", "3").code == 0
    assert cli("config", "unset", "train.stpes").code == 0
    assert cli("config", "unset", "train.clpi").code == 0
    assert file.read_text() == "[train]\nsteps = 3\n"
    assert cli("check").code == 0


@pytest.mark.parametrize("word", ["get", "unset"])
def test_a_key_that_is_not_there_is_an_error(cli, file, word):
    done = cli("config", word, "train.stesp")

    assert done.code == 2
    assert "train.stesp" in done.err
    if word == "get":
        assert "did you mean `train.steps`" in done.err
        assert cli("config", "get", "train.steps", "--user").code == 2
    assert file.read_text() == MINE


def test_the_users_file_is_made_and_changed(cli, kernel):
    done = cli("config", "set", "--user", "network.offline", "true")

    assert done.out == f"{kernel.user_file}\n"
    assert kernel.user_file.read_text() == "[network]\noffline = true\n"
    assert cli("config", "get", "network.offline").out == "true\n"
    assert cli("config", "get", "network.offline", "--user").out == "true\n"
    assert cli("config", "get", "network.offline", "--project").code == 2
    assert cli("config", "unset", "--user", "network.offline").code == 0
    assert kernel.user_file.read_text() == ""


def test_a_workspace_without_settings_gets_a_file(cli, workspace):
    (workspace.config / "llamahome.toml").unlink()
    workspace.config.rmdir()

    done = cli("config", "set", "train.steps", "3")

    assert done.code == 0
    assert (workspace.config / "llamahome.toml").read_text() == "[train]\nsteps = 3\n"


def test_the_file_that_has_the_setting_or_its_table_is_changed(cli, file):
    """Of several, the strongest: else the change would have no effect."""
    yaml = file.with_name("training_config.yaml")
    yaml.write_text("# y\ntrain:\n  clip: 0.7 # c\nevaluate:\n  split: 0.1\n")
    models = file.with_name("models.json")
    models.write_text("{}\n")

    for key, value in (
        ("train.clip", "0.6"),
        ("evaluate.every", "9"),
        ("checkpoint.keep_last", "4"),
        ("seed", "3"),
        ("models.mini.source", "hub:a/b"),
    ):
        done = cli("config", "set", key, value)
        assert (done.code, done.err) == (0, "")
        assert cli("config", "get", key).out == f"{value}\n"

    assert yaml.read_text() == (
        "# y\ntrain:\n  clip: 0.6 # c\nevaluate:\n  split: 0.1\n  every: 9\n"
    )
    assert json.loads(models.read_text()) == {"mini": {"source": "hub:a/b"}}
    assert "keep_last = 4" in file.read_text()
    assert "seed = 3" in file.read_text()
    done = cli("config", "unset", "train.clip")
    assert "in effect is still 0.5: project " in done.err
    assert cli("config", "unset", "models.mini.source").code == 0
    assert models.read_text() == "{}\n"


def test_a_setting_that_is_needed_is_not_removed(cli, workspace):
    models = workspace.config / "models.json"
    models.write_text('{"mini": {"source": "hub:a/b", "summary": "x"}}')

    done = cli("config", "unset", "models.mini.source")

    assert done.code == 2
    assert "`source` is missing in [models.mini]" in done.err
    assert json.loads(models.read_text())["mini"]["source"] == "hub:a/b"


def test_the_files_own_line_ends_mode_and_link_stay(kernel, file, tmp_path):
    """Settings may be a link into another folder, and come from another system."""
    real = tmp_path / "dotfiles.toml"
    real.write_bytes(b"\xef\xbb\xbf# Mine.\r\n[train]\r\nclip = 0.5\r\n")
    real.chmod(0o600)
    file.unlink()
    file.symlink_to(real)

    assert change(kernel, "train.steps", "5") == file

    assert real.read_bytes() == b"\xef\xbb\xbf# Mine.\r\n[train]\r\nclip = 0.5\r\nsteps = 5\r\n"
    assert file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_read_is_not_changed(kernel, file):
    file.write_text("[train\n")

    with pytest.raises(ConfigError) as caught:
        change(kernel, "train.steps", "5")

    assert caught.value.problems[0].code == "C107"
    assert file.read_text() == "[train\n"


def test_two_changes_at_the_same_time_are_both_made(kernel, file):
    keys = [f"models.m{number}.source" for number in range(8)]
    threads = [threading.Thread(target=change, args=(kernel, key, "hub:a/b")) for key in keys]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert file.read_text().count("hub:a/b") == 8
    assert file.read_text().startswith(MINE)


def test_plugins_that_the_settings_forbid_can_be_allowed_again(cli, workspace, kernel):
    """The table is read before anything else; where it is wrong the command still mends it."""
    path = workspace.config / "llamahome.toml"
    path.write_text('[plugins]\nblock = "console"\n')
    broken = Kernel(
        kernel.plugins.all,
        policy=Policy(),
        workspace=workspace,
        environ={},
        user_file=kernel.user_file,
    )

    done = cli("config", "set", "plugins.block", '["console"]', over=broken)

    assert (done.code, path.read_text()) == (0, '[plugins]\nblock = ["console"]\n')


def test_a_secret_is_shown_by_its_reference_and_never_itself(cli, file):
    assert cli("config", "set", "model.hub.token", "env:HF_TOKEN").code == 0
    assert cli("config", "get", "model.hub.token").out == "env:HF_TOKEN\n"
    assert "env:HF_TOKEN" in cli("config", "show").out
    file.write_text('[model.hub]\ntoken = "canary"\n')
    shown = [cli("config", "get", "model"), cli("config", "show", "--origin"), cli("check")]
    assert "canary" not in "".join(done.out + done.err for done in shown)
    assert shown[2].code == 2


def test_none_of_it_imports_anything_heavy(workspace):
    """Settings are changed in a fraction of a second."""
    code = (
        "import sys\nfrom llamahome_core.cli import main\n"
        "try: main(['config', 'set', 'train.steps', '3'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    )
    environ = {**os.environ, "LLAMAHOME_HOME": str(workspace.root)}
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
        cwd=Path("/"),
    )

    assert done.stdout.splitlines()[-1] == "[]"
