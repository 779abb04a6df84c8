"""Who may import whom: the contracts of pyproject.toml hold, and they name every package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_import_contracts_hold(root):
    """Import Linter finds no broken contract in the checkout."""
    tool = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(root / "plugins")}
    done = subprocess.run(
        [tool, "--no-cache"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_name_every_package(settings, packages):
    """A new plugin is bound by the same contracts as the others from its first day."""
    linter = settings["tool"]["importlinter"]
    plugins = [name for name in packages if name != "llamahome_core"]
    contracts = {contract["name"]: contract for contract in linter["contracts"]}

    assert linter["root_packages"] == packages
    assert contracts["The kernel knows no plugin"]["forbidden_modules"] == plugins
    assert contracts["Plugins know no other plugin"]["modules"] == plugins


def test_the_two_lists_of_heavy_modules_agree(settings):
    """What ruff bans at the top of a declaring module, Import Linter forbids through any chain."""
    contracts = {c["name"]: c for c in settings["tool"]["importlinter"]["contracts"]}
    forbidden = contracts["Declaring a plugin imports nothing heavy"]["forbidden_modules"]
    banned = settings["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-module-level-imports"]

    assert forbidden == banned
