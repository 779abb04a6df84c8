"""The recipe's transforms: built and used with care, for they may be anybody's code.

Whatever goes wrong in one names it: the ``[[transform]]`` table, the component, the distribution
that it came with, and the row.
"""

from __future__ import annotations

import json
import reprlib
from typing import Any

from attrs import define, field

from llamahome_core import Context, DataError, Dropped, Example, Kind, Row, Transform, records
from llamahome_data.documents import sum_counts
from llamahome_data.formats import read_example
from llamahome_data.sources import blamed, owner


@define
class Link:
    """A transform of the recipe, and what it has done.

    Attributes:
        transform: What changes or drops.
        use: The component, as the recipe names it.
        name: ``[[transform]] 2 (dedup of llamahome 0.1.0)``, for messages.
        hint: Whom to tell when its code fails.
        inputs: What decides its results, as JSON values: a part of the data's key.
        changed: Examples that it gave back otherwise than it got them.
        dropped: Examples that it left out, by reason.
    """

    transform: Transform
    use: str
    name: str
    hint: str
    inputs: list[Any]
    changed: int = 0
    dropped: dict[str, int] = field(factory=dict)

    def apply(self, example: Example, row: Row) -> Example | None:
        """What becomes of *example*: None if it is left out.

        Raises:
            DataError: The transform failed, or gave something that cannot be learned from.
        """
        place = f"{row.source}:{row.number}"
        try:
            with blamed(place, self.hint):
                given: Any = self.transform.apply(example, row)
                if isinstance(given, Dropped):
                    self.dropped[given.reason] = self.dropped.get(given.reason, 0) + 1
                    return None
                found = example if given is example else _checked(given, row, self.hint)
        except DataError as error:
            # What the transform says itself need not say where.
            said = error.message if error.message.startswith(place) else f"{place}: {error.message}"
            raise DataError(f"{said}; from {self.name}", hint=error.hint) from error
        self.changed += found != example
        return found

    def summary(self) -> dict[str, Any]:
        """What it has done, as plain figures."""
        return {"use": self.use, "changed": self.changed, "dropped": self.dropped}


def _checked(given: Any, row: Row, hint: str) -> Example:
    """The example that a transform gave, if it keeps the rules that rows keep."""
    place = f"{row.source}:{row.number}"
    if not isinstance(given, Example):
        wrong = f"gave {reprlib.repr(given)}, which is neither an Example nor a Dropped"
        raise DataError(f"{place}: {wrong}", hint=hint)
    if given.text is None:
        value: dict[str, Any] = {"messages": list(given.messages), "tools": list(given.tools)}
    elif given.messages:
        raise DataError(f"{place}: gave an Example with both messages and text", hint=hint)
    else:
        value = {"text": given.text}
    form = next(iter(value))
    return read_example(Row(value=value, source=row.source, number=row.number), form)


@define
class Chain:
    """All transforms of a recipe, in its order."""

    links: list[Link]

    def apply(self, example: Example, row: Row) -> Example | None:
        """What goes on to be encoded; None if it is left out.

        Raises:
            DataError: A transform failed; the message names it and the row.
        """
        found: Example | None = example
        for link in self.links:
            if found is not None:
                found = link.apply(found, row)
        return found

    @property
    def inputs(self) -> list[Any]:
        """What decides the results, as JSON values."""
        return [link.inputs for link in self.links]

    @property
    def dropped(self) -> dict[str, int]:
        """Examples that were left out, by reason."""
        return sum_counts(link.dropped for link in self.links)

    def summary(self) -> list[dict[str, Any]]:
        """What each transform has done, as plain figures."""
        return [link.summary() for link in self.links]


def open_transforms(context: Context) -> Chain:
    """The recipe's transforms, built anew: what one remembers is of one preparation.

    Raises:
        DataError: One cannot be built.
    """
    links = []
    for number, selection in enumerate(context.recipe.transforms, 1):
        plugin = owner(context, Kind.TRANSFORM, selection)
        name = f"[[transform]] {number} ({selection.name} of {plugin.origin})"
        hint = f"if its settings are right, tell the makers of {plugin.origin}"
        with blamed(name, hint):
            transform: Transform = selection.component.build(selection.config, context)
            identity: Any = transform.identity
        if not isinstance(identity, str) or not identity:
            raise DataError(
                f"{name}: its identity must be text, got {reprlib.repr(identity)}", hint=hint
            )
        settings = json.loads(json.dumps(records.dump(selection.config), default=str))
        inputs = [selection.plugin, selection.name, plugin.origin, settings, identity]
        links.append(Link(transform, selection.name, name, hint, inputs))
    return Chain(links)
