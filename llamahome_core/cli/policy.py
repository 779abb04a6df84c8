"""``llamahome plugins enable``, ``disable`` and ``lock``: which plugins may load.

None of them loads a plugin of a third party: it may be what one wants to be rid of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from attrs import evolve

from llamahome_core.cli.help import Command, as_json
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, print_json, say
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.kernel import Kernel

if TYPE_CHECKING:
    from llamahome_core.lock import Lock

_place = click.option("--user/--project", "user", help="The user's file, or the workspace's.")


def asked_policy(state: State) -> Policy:
    """What the variables and the options of the command ask for."""
    return Policy.from_environment().narrowed(state.asked)


def careful_kernel(state: State) -> Kernel:
    """One that knows all plugins and loads no third party's: any of them may end the process.

    Raises:
        ConfigError: The settings cannot be read, so that nobody knows what they allow.
    """
    from llamahome_core.policy import settings_policy

    kernel = state.make(evolve(asked_policy(state), own=True))
    _, error = settings_policy(kernel.workspace, kernel.environ, kernel.user_file)
    if error is not None:
        raise error
    return kernel


@click.command(
    cls=Command,
    examples=[
        ("llamahome plugins enable hello", "take it off the list of the blocked"),
        ("llamahome plugins enable hello --user", "for this user, everywhere"),
    ],
)
@click.argument("name")
@_place
@as_json
@click.pass_obj
def enable(state: State, *, name: str, user: bool, as_json: bool) -> None:
    """Let the plugin NAME load: change [plugins] in the workspace's settings, or the user's."""
    _switch(state, name, on=True, user=user, as_json=as_json)


@click.command(
    cls=Command,
    examples=[("llamahome plugins disable hello", "it is not imported any more")],
)
@click.argument("name")
@_place
@as_json
@click.pass_obj
def disable(state: State, *, name: str, user: bool, as_json: bool) -> None:
    """Keep the plugin NAME out: change [plugins] in the workspace's settings, or the user's."""
    _switch(state, name, on=False, user=user, as_json=as_json)


def _switch(state: State, name: str, *, on: bool, user: bool, as_json: bool) -> None:
    from llamahome_core.switch import switch

    done = switch(careful_kernel(state), name, asked_policy(state), on=on, user=user)
    word = "enabled" if on else "disabled"
    if as_json:
        print_json(
            "plugins-switch",
            name=name,
            action=word,
            files=[str(file) for file in done.files],
            block=done.block,
            enable=done.enable,
            active=not done.kept_out,
            reason=done.kept_out or None,
        )
        return
    places = ", ".join(map(str, done.files))
    echo(f"{name}: {word} in {places}" if places else f"{name}: {word} already; nothing is changed")
    if on and done.kept_out:
        say(f"it does not load yet: {done.kept_out}")
    elif not on and not done.kept_out:
        say("it loads all the same: a stronger layer says so (llamahome config show --origin)")


@click.command(
    "lock",
    cls=Command,
    examples=[
        ("llamahome plugins lock", "write down what each plugin is now"),
        ("llamahome plugins lock --check", "is each still what was written down?"),
        ("llamahome plugins lock --check --json", "the same for a script"),
    ],
)
@click.option("--check", is_flag=True, help="Compare, and change nothing.")
@as_json
@click.pass_context
def lock(ctx: click.Context, *, check: bool, as_json: bool) -> None:
    """Write plugins.lock: the distribution, version and files of each plugin that may load.

    With --check the exit code is 1 if one is not what the lock says. The switch `locked` of
    [plugins], LLAMAHOME_LOCKED=1 and --locked keep such a plugin out.
    """
    from llamahome_core.lock import Lock

    kernel = careful_kernel(ctx.ensure_object(State))
    policy = evolve(kernel.plugins.policy, own=False, vet=None)
    allowed = [p for p in kernel.plugins.all if p.status != "shadowed" and not policy.objection(p)]
    if check:
        ctx.exit(_check(Lock.read(kernel.workspace), allowed, as_json=as_json))
    made = Lock.of(allowed)
    path = made.write(kernel.workspace)
    if as_json:
        print_json("plugins-lock", file=str(path), plugins=list(made.plugins))
        return
    echo(f"{path}: {len(made.plugins)} plugins")
    for plugin in allowed:
        if plugin.name in made.plugins and not plugin.is_own:
            echo(f"  {plugin.owner}  sha256:{made.plugins[plugin.name].sha256}")
    if not policy.locked:
        say("to load only these: llamahome config set plugins.locked true")


def _check(made: Lock, plugins: list[Plugin], *, as_json: bool) -> int:
    drifts = made.drifts(plugins)
    if as_json:
        found = [{"plugin": name, "drift": text} for name, text in drifts.items()]
        print_json("plugins-drift", ok=not drifts, drifts=found)
    else:
        for name, text in drifts.items():
            echo(f"{name}: {text}")
        if not drifts:
            echo(f"{len(made.plugins)} plugins are what the lock says")
    return 1 if drifts else 0
