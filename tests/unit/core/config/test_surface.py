"""The package offers the names it says it offers, and costs little until they are used."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

from llamahome_core import config


def test_each_public_name_is_found_and_listed_once():
    assert sorted(config.__all__) == sorted(config._HOME)
    for name in config.__all__:
        assert getattr(config, name) is not None
    assert dir(config) == sorted(config.__all__)


def test_no_module_is_called_like_a_public_name():
    """The import of such a module would put itself in the place of the name."""
    modules = {module.name for module in pkgutil.iter_modules(config.__path__)}

    assert not modules & set(config.__all__)


def test_what_is_not_there_is_said_so():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = config.nothing


def test_using_every_name_imports_no_parser():
    """tomlkit and yaml are imported when a file of theirs is read, and cattrs never."""
    program = (
        "import sys\nfrom llamahome_core import config\n"
        "[getattr(config, name) for name in config.__all__]\n"
        "print([m for m in ('tomlkit', 'yaml', 'cattrs') if m in sys.modules])"
    )

    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"sys = __import__('sys'); sys.path = {sys.path!r}\n{program}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"
