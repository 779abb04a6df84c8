"""Makes the kernel of a command: third parties' plugins are tried in another process first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import evolve

from llamahome_core.cli.output import warn
from llamahome_core.discovery import Policy
from llamahome_core.kernel import Kernel
from llamahome_core.trial import seconds_from

if TYPE_CHECKING:
    from llamahome_core.cli.main import State

_QUIET = -2  # the verbosity of -qq


def make_kernel(state: State, policy: Policy) -> Kernel:
    """The kernel; what a trial keeps out of the process is told, once for each command.

    A program that embeds the kernel has imported what it likes, may have threads that no fork
    survives, and so tries nothing.

    Raises:
        ConfigError: ``LLAMAHOME_TRIAL`` is no number of seconds.
    """
    if not state.process:
        return state.make(policy)
    kernel = state.make(evolve(policy, trial=seconds_from(os.environ)))
    for plugin in kernel.plugins.broken:
        if plugin.verdict is not None and state.verbosity > _QUIET:
            warn(
                f"plugin {plugin.name!r} ({plugin.origin}) is set aside: {plugin.why}\n"
                f"  fix: llamahome plugins check {plugin.name}, or llamahome -p no:{plugin.name} …"
            )
    return kernel
