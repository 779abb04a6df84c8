"""Requirements as pip takes them (PEP 508), and what a plugin requires of LlamaHome."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, version
from typing import TYPE_CHECKING

from llamahome_core.hookspecs import PROJECT

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def parse(text: str) -> Requirement:
    """*text* as a requirement such as ``llamahome-foo>=1.2``.

    Raises:
        ValueError: It is none; the message says where.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{text!r} is no requirement: {reason}") from None


def canonical(name: str) -> str:
    """The name of a distribution as every tool spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def misfit(dist: Distribution) -> str | None:
    """What *dist* says of the version of LlamaHome, if it is not so here."""
    try:
        here = version(PROJECT)
        found = [parse(text) for text in dist.requires or ()]
    except (ValueError, PackageNotFoundError):  # its metadata is damaged: that is another matter
        return None
    for wanted in found:
        is_meant = canonical(wanted.name) == PROJECT and (
            wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        )
        if is_meant and not wanted.specifier.contains(here, prereleases=True):
            return f"it asks for {wanted}, and this is {PROJECT} {here}"
    return None
