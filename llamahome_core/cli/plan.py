"""``llamahome plan`` and ``llamahome check``: look before you run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from llamahome_core.cli.main import State
from llamahome_core.cli.output import print_json, report, say
from llamahome_core.config import ConfigError, to_json
from llamahome_core.errors import LlamaHomeError
from llamahome_core.plan import Plan

assignments = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one value."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")


@click.command()
@click.argument("recipe")
@assignments
@as_json
@click.pass_obj
def plan(state: State, recipe: str, assignments: tuple[str, ...], as_json: bool) -> None:
    """Show what RECIPE would do: components, data, steps. Loads no weights."""
    kernel = state.kernel
    made = kernel.plan(recipe, assignments=assignments)
    details = stage_details(kernel.context(made), made)
    if as_json:
        print_json("plan", recipe=dict(made.resolved), stages=details)
        return
    _show(made, details)


def stage_details(context: Any, made: Plan) -> dict[str, Mapping[str, Any]]:
    """What each stage says about its part, in the order of the stages."""
    return {
        stage.name: stage.plan.load()(context)
        for _, stage in made.catalog.stages()
        if stage.plan is not None
    }


def _show(made: Plan, details: Mapping[str, Mapping[str, Any]]) -> None:
    recipe = made.recipe
    click.echo(f"{recipe.name}  (seed {recipe.seed})")
    click.echo(f"  {'model':<12}{recipe.model}")
    for selection in recipe.data:
        click.echo(f"  {'data':<12}{selection.name} for {_role(selection.role)}")
    for kind, selection in sorted(recipe.chosen.items()):
        owner = made.catalog.plugins.active[selection.plugin].origin
        click.echo(f"  {kind:<12}{selection.name:<12}{owner}")
    for stage, values in details.items():
        click.echo(f"{stage}")
        for key, value in values.items():
            click.echo(f"  {key:<24}{value}")


def _role(role: str) -> str:
    return "training" if role == "train" else "evaluation"


@click.command()
@click.argument("recipes", nargs=-1)
@assignments
@as_json
@click.pass_obj
def check(
    state: State,
    recipes: tuple[str, ...],
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check RECIPES, or only the settings; loads and writes nothing. Exit code 2 if wrong."""
    errors = {
        name: error
        for name in recipes or ("settings",)
        if (error := _error_of(state, name if recipes else None, assignments))
    }
    if as_json:
        print_json("check", ok=not errors, problems=[p for e in errors.values() for p in _json(e)])
    else:
        for error in errors.values():
            report(error, state)
        for name in recipes or ("settings",):
            if name not in errors:
                say(f"{name}: ok")
    if errors:
        click.get_current_context().exit(max(e.exit_code for e in errors.values()))


def _error_of(
    state: State, recipe: str | None, assignments: tuple[str, ...]
) -> LlamaHomeError | None:
    """What is wrong with *recipe*, or with the settings alone."""
    try:
        if recipe is None:
            state.kernel.context()
        else:
            state.kernel.plan(recipe, assignments=assignments)
    except LlamaHomeError as error:
        return error
    return None


def _json(error: LlamaHomeError) -> list[dict[str, Any]]:
    if isinstance(error, ConfigError):
        return to_json(error.problems)
    return [{"code": error.code, "message": error.message, "fix": error.hint}]
