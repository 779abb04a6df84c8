"""``llamahome plan`` and ``llamahome check``: look before you run."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from llamahome_core.cli.help import Command, as_json, assignments, completes
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, pairs, print_json, table, warn
from llamahome_core.errors import LlamaHomeError
from llamahome_core.terminal import aside
from llamahome_core.workspace import Workspace, fix_of

if TYPE_CHECKING:
    from llamahome_core.config import Path
    from llamahome_core.plan import Plan
    from llamahome_core.recipe import Selection


@click.command(
    cls=Command,
    examples=[
        ("llamahome plan quickstart", "what the packaged recipe does"),
        ("llamahome plan recipe.toml --set train.epochs=3", "and with another length"),
    ],
)
@click.argument("recipe", shell_complete=completes("recipes"))
@assignments
@as_json
@click.pass_obj
def plan(state: State, recipe: str, assignments: tuple[str, ...], as_json: bool) -> None:
    """Show what RECIPE would do: components, data, steps. Loads no weights, downloads nothing.

    What it prepares of the data is kept in the workspace, and a run has no need to do it again;
    where the workspace cannot be written, nothing is kept.
    """
    kernel = state.kernel
    with aside():  # settings classes and stages are code of plugins
        made = kernel.plan(recipe, assignments=assignments)
        context = kernel.context(made)
        with _writable(context.workspace) as context.workspace:
            details = stage_details(context, made)
    for text in made.warnings:
        warn(text)
    if as_json:
        print_json(
            "plan",
            recipe=dict(made.resolved),
            components=[_record(made, chosen, at) for chosen, at in _selections(made)],
            stages=details,
        )
        return
    _show(made, details)


@frozen
class _Reader(Workspace):
    """A workspace that is only read: what is prepared goes to a folder that is thrown away."""

    elsewhere: pathlib.Path

    def cache(self, part: str) -> pathlib.Path:
        return self.elsewhere / part if part in {"training", "system"} else super().cache(part)


@contextlib.contextmanager
def _writable(workspace: Workspace) -> Iterator[Workspace]:
    """*workspace*, or one that prepares elsewhere where it cannot be written."""
    import tempfile

    folder = workspace.cache("training")
    if os.access(next(p for p in (folder, *folder.parents) if p.exists()), os.W_OK | os.X_OK):
        yield workspace
        return
    with tempfile.TemporaryDirectory(prefix="llamahome-plan-") as name:
        yield _Reader(workspace.root, pathlib.Path(name))


def stage_details(context: Any, made: Plan) -> dict[str, Mapping[str, Any]]:
    """What each stage says about its part, in the order of the stages."""
    return {
        stage.name: stage.plan.load()(context)
        for _, stage in made.catalog.stages()
        if stage.plan is not None
    }


def _selections(made: Plan) -> Iterator[tuple[Selection, Path]]:
    """Every chosen component and its table, in the order of the work."""
    recipe = made.recipe
    yield from ((chosen, ("data", index)) for index, chosen in enumerate(recipe.data))
    yield from ((chosen, ("transform", index)) for index, chosen in enumerate(recipe.transforms))
    for key, chosen in recipe.chosen.items():
        yield chosen, (("model", chosen.name) if key.startswith("model:") else (key,))
    yield from ((chosen, ("monitor", index)) for index, chosen in enumerate(recipe.monitors))


def _record(made: Plan, chosen: Selection, at: Path) -> dict[str, Any]:
    from llamahome_core.config import origin_text

    origin = made.merged.origins.get((*at, "use")) or made.merged.origins.get(at)
    return {
        "kind": chosen.kind,
        "name": chosen.name,
        "role": chosen.role if chosen.kind == "data" else None,
        "plugin": chosen.plugin,
        "version": made.catalog.plugins.active[chosen.plugin].origin,
        "origin": origin_text(origin) if origin else "default",
    }


def _show(made: Plan, details: Mapping[str, Mapping[str, Any]]) -> None:
    from llamahome_core.config import origin_text

    recipe = made.recipe
    origin = made.merged.origin(("model", "from"))
    source = origin_text(origin) if origin else ""
    rows = [("model", recipe.model, "", "", source)]
    for chosen, at in _selections(made):
        record = _record(made, chosen, at)
        role = " (held out)" if record["role"] == "evaluate" else ""
        rows.append(
            (
                record["kind"],
                f"{record['name']}{role}",
                record["plugin"],
                record["version"],
                record["origin"],
            )
        )
    echo(f"{recipe.name}, seed {recipe.seed}\n")
    table(("PART", "USES", "PLUGIN", "FROM", "CHOSEN BY"), rows)
    for stage, values in details.items():
        echo(f"\n{stage}")
        pairs([(key.replace("_", " "), value) for key, value in values.items()], indent="  ")


@click.command(
    cls=Command,
    examples=[
        ("llamahome check recipe.toml", "every mistake at once, with its line"),
        ("llamahome check *.toml", "several recipes"),
        ("llamahome check", "only the settings of this workspace"),
    ],
)
@click.argument("recipes", nargs=-1, shell_complete=completes("recipes"))
@assignments
@as_json
@click.pass_context
def check(
    ctx: click.Context,
    recipes: tuple[str, ...],
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check RECIPES, or only the settings; loads and writes nothing.

    The exit code is 2 if something is wrong, and 3 if the recipe is right and this machine lacks
    a package that it needs.
    """
    state = ctx.ensure_object(State)
    names = recipes or ("settings",)
    with aside():  # settings classes are code of plugins
        errors = {name: _error_of(state, name if recipes else None, assignments) for name in names}
    wrong = [error for error in errors.values() if error]
    if as_json:
        print_json("check", ok=not wrong, problems=[p for e in wrong for p in _json(e)])
    else:
        _report(state, errors)
    if wrong:
        # A wrong recipe outweighs a machine that lacks something.
        ctx.exit(min((e.exit_code for e in wrong), key=lambda code: (code != 2, code)))  # noqa: PLR2004  # see DESIGN, rule 8


def _report(state: State, errors: Mapping[str, LlamaHomeError | None]) -> None:
    for name, error in errors.items():
        if error is None:
            echo(f"{name}: ok")
        else:
            from llamahome_core.cli.endings import report

            report(error, state)


def _error_of(
    state: State, recipe: str | None, assignments: tuple[str, ...]
) -> LlamaHomeError | None:
    """What is wrong with *recipe*, or with the settings alone."""
    from llamahome_core.resolve import settings_only

    try:
        if recipe is None:
            kernel = state.kernel
            settings_only(kernel.catalog, kernel.settings(None, assignments))
        else:
            made = state.kernel.plan(recipe, assignments=assignments)
            for text in made.warnings:
                warn(text)
    except LlamaHomeError as error:
        return error
    return None


def _json(error: LlamaHomeError) -> list[dict[str, Any]]:
    from llamahome_core.config import ConfigError, to_json

    if isinstance(error, ConfigError):
        return to_json(error.problems)
    return [{"code": error.code, "message": error.message, "fix": fix_of(error)}]
