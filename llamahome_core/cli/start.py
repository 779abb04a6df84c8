"""Makes the kernel of a command: third parties' plugins are tried in another process first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import evolve

from llamahome_core.cli.output import warn
from llamahome_core.discovery import Plugin, Policy, discover
from llamahome_core.kernel import Kernel
from llamahome_core.policy import refuse_unknown
from llamahome_core.trial import seconds_from

if TYPE_CHECKING:
    from llamahome_core.cli.main import State

_QUIET = -2  # the verbosity of -qq


def make_kernel(state: State) -> Kernel:
    """The kernel; what a trial keeps out of the process is told, once for each command.

    A program that embeds the kernel has imported what it likes, may have threads that no fork
    survives, and so tries nothing.

    Raises:
        ConfigError: ``LLAMAHOME_TRIAL`` is no number of seconds.
        UnknownNameError: ``-p`` or ``LLAMAHOME_PLUGINS`` names a plugin that is not installed.
    """
    environment = Policy.from_environment()
    policy = environment.narrowed(state.asked)
    if not state.process:
        kernel = state.make(policy)
        _refuse_unknown(state.asked, environment, kernel.plugins.all)
        return kernel
    if policy.only is not None or policy.blocked:
        # Before any is imported: a misspelt name would let in what it was to keep out.
        _refuse_unknown(state.asked, environment, list(discover()))
    kernel = state.make(evolve(policy, trial=seconds_from(os.environ)))
    for plugin in kernel.plugins.broken:
        if plugin.verdict is not None and state.verbosity > _QUIET:
            warn(
                f"plugin {plugin.name!r} ({plugin.origin}) is set aside: {plugin.why}\n"
                f"  fix: llamahome plugins check {plugin.name}, or llamahome -p no:{plugin.name} …"
            )
    return kernel


def _refuse_unknown(words: Policy, environment: Policy, plugins: list[Plugin]) -> None:
    for asked in (words, environment):
        refuse_unknown(asked, plugins)
