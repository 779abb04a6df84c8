"""The hooks a plugin may implement: the page that a plugin author reads.

Declaring hooks take no argument, are called once per kernel when their kind is first asked for,
and yield small records. They must be cheap: name heavy things by ``"module:attribute"``, and
import none of them. What they yield is checked; an error is this plugin's alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from llamahome_core.components import (
        Check,
        Command,
        Component,
        Defaults,
        PackagedRecipe,
        Service,
        Stage,
    )
    from llamahome_core.run import Run
    from llamahome_core.values import Outcome

PROJECT = "llamahome"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- Parts of a recipe -----------------------------------------------------------------------


@hookspec
def llamahome_model_sources() -> Iterable[Component]:
    """Declare where models come from; a model is named ``<name>:<location>``.

    The factory returns a :class:`~llamahome_core.ModelSource`.

    Example::

        @hookimpl
        def llamahome_model_sources():
            yield Component(
                name="ftp",
                summary="A model folder on an FTP server.",
                config=FtpConfig,
                factory="llamahome_ftp.source:FtpSource",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_data_sources() -> Iterable[Component]:
    """Declare where rows come from; a recipe says ``[[data]] use = "<name>"``.

    The factory returns a :class:`~llamahome_core.DataSource`.

    Example::

        @hookimpl
        def llamahome_data_sources():
            yield Component(
                name="mbox",
                summary="Threads of a mailbox as conversations.",
                config=MboxConfig,
                factory="llamahome_mbox.source:MboxSource",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_transforms() -> Iterable[Component]:
    """Declare what changes or drops examples; a recipe says ``[[transform]] use = "<name>"``.

    The factory returns a :class:`~llamahome_core.Transform`.

    Example::

        @hookimpl
        def llamahome_transforms():
            yield Component(
                name="redact",
                summary="Cover telephone numbers.",
                config=RedactConfig,
                factory="llamahome_redact.transform:Redact",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_objectives() -> Iterable[Component]:
    """Declare what is learned; a recipe says ``[objective] use = "<name>"``.

    The factory returns an :class:`~llamahome_core.Objective`.

    Example::

        @hookimpl
        def llamahome_objectives():
            yield Component(
                name="focal",
                summary="Cross-entropy that favours hard tokens.",
                config=FocalConfig,
                factory="llamahome_focal.objective:Focal",
                needs=("torch",),
                extra="train",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_adapters() -> Iterable[Component]:
    """Declare what of a model is trained; a recipe says ``[adapter] use = "<name>"``.

    The factory returns an :class:`~llamahome_core.Adapter`.

    Example::

        @hookimpl
        def llamahome_adapters():
            yield Component(
                name="bias-only",
                summary="Train the biases and nothing else.",
                factory="llamahome_bias.adapter:BiasOnly",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_optimizers() -> Iterable[Component]:
    """Declare optimizers; a recipe says ``[optimizer] use = "<name>"``.

    The factory returns an :class:`~llamahome_core.Optimizer`.

    Example::

        @hookimpl
        def llamahome_optimizers():
            yield Component(
                name="lion",
                summary="Sign of the momentum; one state per weight.",
                config=LionConfig,
                factory="llamahome_lion.optimizer:Lion",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_schedules() -> Iterable[Component]:
    """Declare learning-rate schedules; a recipe says ``[schedule] use = "<name>"``.

    The factory returns a :class:`~llamahome_core.Schedule`.

    Example::

        @hookimpl
        def llamahome_schedules():
            yield Component(
                name="triangle",
                summary="Up for the first half, down for the second.",
                factory="llamahome_triangle.schedule:Triangle",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_trainers() -> Iterable[Component]:
    """Declare what executes a step; a recipe says ``[trainer] use = "<name>"``.

    The factory returns a :class:`~llamahome_core.Trainer`.

    Example::

        @hookimpl
        def llamahome_trainers():
            yield Component(
                name="mesh",
                summary="One step on a mesh of devices.",
                config=MeshConfig,
                factory="llamahome_mesh.trainer:MeshTrainer",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_caches() -> Iterable[Component]:
    """Declare caches; a recipe says ``[cache] use = "<name>"``.

    The factory returns a :class:`~llamahome_core.Cache`.

    Example::

        @hookimpl
        def llamahome_caches():
            yield Component(
                name="memcached",
                summary="A memcached server.",
                config=MemcachedConfig,
                factory="llamahome_memcached.cache:MemcachedCache",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_stores() -> Iterable[Component]:
    """Declare stores; a recipe says ``[store] use = "<name>"``.

    The factory returns a :class:`~llamahome_core.Store`.

    Example::

        @hookimpl
        def llamahome_stores():
            yield Component(
                name="webdav",
                summary="Folders on a WebDAV server.",
                config=WebdavConfig,
                factory="llamahome_webdav.store:WebdavStore",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_monitors() -> Iterable[Component]:
    """Declare what shows or forwards a run's events; ``[[monitor]] use = "<name>"``.

    The factory is called with its settings and a :class:`~llamahome_core.MonitorContext`, and
    returns a :class:`~llamahome_core.Monitor`. It runs in a process of its own.

    Example::

        @hookimpl
        def llamahome_monitors():
            yield Component(
                name="bell",
                summary="Ring the terminal's bell when a run ends.",
                factory="llamahome_bell.monitor:Bell",
            )

    .. versionadded:: 0.1
    """
    return ()


# --- What a plugin brings besides ------------------------------------------------------------


@hookspec
def llamahome_services() -> Iterable[Service]:
    """Declare the provider of a Protocol, which others ask for with ``context.get(Protocol)``.

    Example::

        @hookimpl
        def llamahome_services():
            yield Service(
                protocol=ChatCodec,
                factory="llamahome_tokens.codec:make_codec",
                summary="Conversations to tokens by a hand-written template.",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_stages() -> Iterable[Stage]:
    """Declare a part of every run; stages run in the order that ``after`` asks for.

    Example::

        @hookimpl
        def llamahome_stages():
            yield Stage(
                name="announce",
                summary="Tell the team that a version is out.",
                run="llamahome_announce.stage:announce",
                after=("publish",),
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_commands() -> Iterable[Command]:
    """Declare subcommands of ``llamahome``.

    What a command prints with `print` or `click.echo` is its result. What a child process prints
    goes to standard error, unless it is started with ``stdout=sys.stdout``. The settings of
    ``config`` stand in ``[command.count]``; :func:`~llamahome_core.command_settings` and
    :func:`~llamahome_core.command_kernel` give the command what it needs.

    Example::

        @hookimpl
        def llamahome_commands():
            yield Command(
                name="count",
                summary="Count the tokens of a file.",
                command="llamahome_count.cli:count",
                config=CountConfig,
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_checks() -> Iterable[Check]:
    """Declare a line of ``llamahome doctor``.

    Example::

        @hookimpl
        def llamahome_checks():
            yield Check(
                name="printer",
                summary="Whether the printer has paper.",
                run="llamahome_printer.checks:paper",
            )

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_defaults() -> Iterable[Defaults]:
    """Bring settings, such as models for the catalogue; the user's own files win over them.

    Example::

        @hookimpl
        def llamahome_defaults():
            yield Defaults(tables={"models": {"tiny": {"source": "hub:acme/tiny"}}})

    .. versionadded:: 0.1
    """
    return ()


@hookspec
def llamahome_recipes() -> Iterable[PackagedRecipe]:
    """Bring recipes that ``llamahome run NAME`` finds.

    Example::

        @hookimpl
        def llamahome_recipes():
            yield PackagedRecipe(
                name="haiku",
                summary="Teach a model to write haiku.",
                package="llamahome_haiku",
                file="recipe.toml",
            )

    .. versionadded:: 0.1
    """
    return ()


# --- What happens ----------------------------------------------------------------------------


@hookspec
def llamahome_run_started(run: Run) -> None:
    """Called when a run's folder exists and its first stage is about to begin.

    Observers are called one by one; one that fails is logged and the run goes on.

    Example::

        @hookimpl
        def llamahome_run_started(run):
            run.events.emit("note", text="the coffee is on")

    .. versionadded:: 0.1
    """


@hookspec
def llamahome_run_finished(run: Run, outcome: Outcome) -> None:
    """Called when a run is over, however it ended: ``outcome.status`` says.

    Example::

        @hookimpl
        def llamahome_run_finished(run, outcome):
            if outcome.status == "failed":
                print(f"{run.name} failed: {outcome.error}")

    .. versionadded:: 0.1
    """


@hookspec(firstresult=True)
def llamahome_execute(run: Run) -> Outcome | None:
    """Carry out *run*. The kernel's own implementation comes last; made to be wrapped.

    Example::

        @hookimpl(wrapper=True)
        def llamahome_execute(run):
            with profiler():
                return (yield)

    .. versionadded:: 0.1
    """
