"""What a run will do: a recipe that is read, merged, validated and bound to components.

Nothing heavy is imported and nothing is written to make one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from llamahome_core.config import Document, Merged
    from llamahome_core.recipe import Recipe
    from llamahome_core.registry import Catalog


@frozen(kw_only=True)
class Plan:
    """A validated recipe and where all of it came from.

    Attributes:
        recipe: The recipe.
        catalog: The components that it chose from.
        merged: Every value with its origin.
        resolved: The recipe as plain values, defaults included.
        text: The recipe file as written, if it came from a file.
        suffix: The recipe file's suffix.
        warnings: What is deprecated of the settings that it uses, with the place of each.
        bases: What the recipe extends, the nearest first.
    """

    recipe: Recipe
    catalog: Catalog
    merged: Merged
    resolved: Mapping[str, Any]
    text: str | None = None
    suffix: str = ".toml"
    warnings: tuple[str, ...] = ()
    bases: tuple[Document, ...] = ()

    def resolved_toml(self) -> str:
        """The whole recipe as TOML; running it gives the same run, whatever the settings."""
        import tomlkit

        head = "# Every value of this run. `llamahome run resolved.toml` runs it again.\n"
        return head + tomlkit.dumps(dict(self.resolved))

    def origins(self) -> list[dict[str, Any]]:
        """Where each value came from, as JSON values; secrets are redacted."""
        from llamahome_core.config import show_origins

        return [
            {"key": row.key, "value": row.value, "origin": row.origin}
            for row in show_origins(self.merged)
        ]

    @property
    def folder(self) -> Path:
        """What relative paths of the recipe are relative to."""
        return self.recipe.folder
