"""What the command of a plugin asks for when it runs: the kernel, and its own settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from llamahome_core.errors import PluginError

if TYPE_CHECKING:
    import click

    from llamahome_core.kernel import Kernel


def command_kernel(context: click.Context) -> Kernel:
    """The kernel that the command line was started with, for code below ``@click.pass_context``.

    Raises:
        ConfigError: The settings cannot say which plugins may load.
        PluginError: The command was not started by ``llamahome``.
    """
    kernel: Kernel | None = getattr(context.find_root().obj, "kernel", None)
    if kernel is None:
        raise PluginError(
            f"the command {context.info_name!r} was not started by llamahome",
            hint="in a test, start it with the fixture run_cli",
        )
    return kernel


def command_settings(context: click.Context) -> Any:
    """The settings of the command that is running, of the class that its record names.

    They stand in the table ``[command.NAME]`` of the user's and the workspace's files, or in
    environment variables such as ``LLAMAHOME_COMMAND__COUNT__UNIT``. Paths are absolute, and
    secrets stand in the place of their references. It works in subcommands too.

    Raises:
        ConfigError: They are wrong; the message shows where.
        SecretError: A secret is not there.
    """
    from llamahome_core.config import ConfigError
    from llamahome_core.context import variable
    from llamahome_core.resolve import Resolver
    from llamahome_core.secrets import read_secret, reveal

    kernel = command_kernel(context)
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    _, command = kernel.catalog.commands()[str(context.info_name)]
    resolver = Resolver(kernel.catalog, kernel.settings(), for_run=False)
    found = resolver.command(command)
    if resolver.problems:
        raise ConfigError(resolver.merged.locate(resolver.problems))
    find = partial(variable, environ=kernel.environ, workspace=kernel.workspace)
    return reveal(found, lambda reference: read_secret(reference, find))
