"""Checks ``required`` of a recipe: what must be installed, and may not be kept out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from llamahome_core.discovery import Plugin
from llamahome_core.errors import RequirementError
from llamahome_core.requirements import canonical, parse


def check_required(required: Iterable[str], plugins: Iterable[Plugin], where: str = "") -> None:
    """Check that each requirement is installed, and that what it brings is not kept out.

    Args:
        required: The requirements.
        plugins: All discovered plugins.
        where: Where the requirements stand, for the message.

    Raises:
        RequirementError: One is not there, is too old, or its plugin is blocked or broken; all of
            them at once.
        ValueError: One is no requirement.
    """
    found = [(text, *lack) for text in required for lack in _lacks(text, list(plugins))]
    if not found:
        return
    message = "; ".join(reason for _, reason, _ in found)
    wanted = " ".join(f"'{text}'" for text, _, command in found if command)
    is_old = any(command == "upgrade" for *_, command in found)
    hint = f"pip install {'--upgrade ' if is_old else ''}{wanted}" if wanted else None
    raise RequirementError(f"{where}required: {message}", hint=hint or "llamahome plugins")


def _lacks(text: str, plugins: list[Plugin]) -> Iterator[tuple[str, str | None]]:
    """What is missing, and whether pip would install or upgrade it."""
    wanted = parse(text)
    if wanted.marker is not None and not wanted.marker.evaluate():
        return
    try:
        installed = version(wanted.name)
    except PackageNotFoundError:
        yield f"{wanted.name} is not installed", "install"
        return
    if not wanted.specifier.contains(installed, prereleases=True):
        yield f"{text}, and {installed} is installed", "upgrade"
        return
    name = canonical(wanted.name)
    for plugin in plugins:
        is_kept_out = plugin.status in {"blocked", "broken", "shadowed"}
        if is_kept_out and not plugin.is_own and canonical(plugin.distribution) == name:
            why = f": {plugin.why}" if plugin.why else ""
            yield f"the plugin {plugin.owner} is {plugin.status}{why}", None
