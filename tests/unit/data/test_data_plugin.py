"""What the plugin declares: light to import, and everything that it names is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from llamahome_data import plugin
from llamahome_data.config import JsonlConfig


def test_every_reference_leads_to_something():
    """A name that is misspelt here would only be missed in a run."""
    (component,) = plugin.llamahome_data_sources()
    (transform,) = plugin.llamahome_transforms()
    (prepare,) = plugin.llamahome_stages()
    assert transform.factory.load().__name__ == "Dedup"
    assert component.factory.load().__name__ == "JsonlSource"
    assert prepare.run.load().__name__ == "prepare"
    assert prepare.plan
    assert prepare.plan.load().__name__ == "plan"
    assert prepare.after == ("fetch",)


def test_declaring_imports_nothing_heavy():
    """``llamahome --help`` loads this module."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import llamahome_data.plugin as p\n"
        "list(p.llamahome_data_sources()), list(p.llamahome_transforms())\n"
        "list(p.llamahome_stages())\n"
        "assert not {'numpy', 'torch', 'xxhash', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_settings_can_be_read_by_the_kernel():
    """Their annotations resolve at run time, and their constraints hold."""
    attrs.resolve_types(JsonlConfig)
    assert attrs.fields(JsonlConfig).path.type is Path
    wrongs: list[dict[str, Any]] = [{"limit": 0}, {"prompt": ""}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"limit|prompt"):
            JsonlConfig(path=Path("a"), **wrong)
