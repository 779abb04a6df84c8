"""Declares the packaged recipe ``quickstart``."""

from __future__ import annotations

from collections.abc import Iterable

from llamahome_core import PackagedRecipe, hookimpl


@hookimpl
def llamahome_recipes() -> Iterable[PackagedRecipe]:
    """The quickstart."""
    yield PackagedRecipe(
        name="quickstart",
        summary="Teach SmolLM2-135M-Instruct what LlamaHome is: minutes on two cores.",
        package="llamahome_quickstart",
        file="quickstart.toml",
    )
