"""Every error a user can meet, each with a code that ``llamahome explain`` knows.

::

    LlamaHomeError              X900  base: what happened, where, and how to mend it
    ├── ConfigError             C1xx  a recipe or setting is wrong (llamahome_core.config)
    ├── PluginError             P201  a plugin is unusable
    │   ├── BrokenPluginError   P202  a plugin that failed to load was needed
    │   ├── AmbiguousNameError  P203  two plugins offer the same name
    │   ├── UnavailableError    P204  a component's Python package is not installed
    │   └── RequirementError    P205  a recipe requires a plugin that is not here
    ├── UnknownNameError        P206  nobody offers a thing of that name
    ├── ModelError              M301  a model cannot be found, fetched or read
    │   ├── OfflineError        M302  the network is needed and is off or unreachable
    │   ├── UnsafeModelError    M303  a model asks for something refused as unsafe
    │   └── ModelNotFoundError  M304  no such model
    ├── DataError               D401  a data source or row cannot be used
    ├── TrainingError           T501  training cannot go on
    ├── RunError                R601  a run cannot be started, read or resumed
    │   ├── RunNotFoundError    R602  no such run
    │   └── RunLockedError      R603  another process holds the run
    ├── IntegrityError          S701  stored data is not what was written
    ├── StorageError            S702  the disk or the store failed
    │   └── HeldError           S703  another process holds a lock
    ├── SecretError             C112  a secret that the settings refer to is not there
    ├── WorkspaceError          W801  the workspace folder cannot be used
    └── Interrupted             X130  stopped by a signal, after a clean save
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class LlamaHomeError(Exception):
    """Base class: the message says what happened and where, *hint* how to mend it.

    Attributes:
        code: A stable identifier such as ``C101``; ``llamahome explain CODE`` describes it.
        exit_code: What the command exits with when this error ends it.
        hint: One edit or command that mends it, if there is one.
    """

    code: str = "X900"
    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  fix: {self.hint}" if self.hint else message

    @property
    def message(self) -> str:
        """The message without the hint."""
        return super().__str__()


class PluginError(LlamaHomeError):
    """A plugin cannot be used.

    Attributes:
        module: The module that could not be imported, if that is why.
    """

    code = "P201"
    module: str | None = None


class BrokenPluginError(PluginError):
    """A plugin that failed to load was needed."""

    code = "P202"


class AmbiguousNameError(PluginError):
    """Two plugins offer a component of the same name."""

    code = "P203"
    exit_code = 2


class UnavailableError(PluginError):
    """A component's Python package is not installed here."""

    code = "P204"
    exit_code = 3


class RequirementError(PluginError):
    """A recipe's ``required`` names a distribution that is missing or has the wrong version."""

    code = "P205"
    exit_code = 3


class UnknownNameError(LlamaHomeError):
    """Nobody offers a thing of that name."""

    code = "P206"
    exit_code = 4


class ModelError(LlamaHomeError):
    """A model cannot be found, fetched or read."""

    code = "M301"


class OfflineError(ModelError):
    """The network is needed, and it is switched off or cannot be reached."""

    code = "M302"
    exit_code = 3


class UnsafeModelError(ModelError):
    """A model asks for something that LlamaHome refuses, such as running its own code."""

    code = "M303"
    exit_code = 5


class ModelNotFoundError(ModelError):
    """No model has that name."""

    code = "M304"
    exit_code = 4


class DataError(LlamaHomeError):
    """A data source or one of its rows cannot be used; the message names file and row."""

    code = "D401"


class TrainingError(LlamaHomeError):
    """Training cannot go on."""

    code = "T501"


class RunError(LlamaHomeError):
    """A run cannot be started, read or resumed."""

    code = "R601"


class RunNotFoundError(RunError):
    """No run has that name."""

    code = "R602"
    exit_code = 4


class RunLockedError(RunError):
    """Another living process holds the run."""

    code = "R603"
    exit_code = 5


class IntegrityError(LlamaHomeError):
    """Stored data is not what was written: a file is missing, extra or has another hash."""

    code = "S701"


class StorageError(LlamaHomeError):
    """The disk or the store failed."""

    code = "S702"


class HeldError(StorageError):
    """Another process holds the lock."""

    code = "S703"
    exit_code = 5


class WorkspaceError(LlamaHomeError):
    """The workspace folder cannot be used."""

    code = "W801"
    exit_code = 2


class SecretError(LlamaHomeError):
    """A secret that the settings refer to is not there."""

    code = "C112"
    exit_code = 3


class Interrupted(LlamaHomeError):  # noqa: N818  # a signal is no error; the name says what happened
    """The run was stopped by a signal, after a clean save.

    Attributes:
        signal: The signal's number; the command exits with 128 plus it.
    """

    code = "X130"

    def __init__(self, message: str, *, signal: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.signal = signal


def suggest(name: str, known: Iterable[str], *, limit: int = 2) -> list[str]:
    """Names in *known* that *name* may be a misspelling of: the nearest, several if equally near.

    If none is spelt alike, those of which it is the beginning, or that have the same words:
    ``epochs`` for ``num_train_epochs``.
    """
    names = list(dict.fromkeys(known))
    alike = difflib.get_close_matches(name, names, n=len(names) or 1, cutoff=0.6)
    if alike:
        far = {other: edits(name, other) for other in alike}
        return [other for other in alike if far[other] == min(far.values())][:limit]
    words = _words(name)
    kin = (n for n in names if _words(n) <= words or words <= _words(n) or _begins(n, name))
    return list(kin)[:limit]


def no_plugin(name: str, known: Iterable[str], where: str = "") -> UnknownNameError:
    """What to raise where none of the *known* plugins is called *name*, which stands at *where*."""
    close = suggest(name, known)
    hint = f"did you mean {close[0]!r}?" if close else "llamahome plugins"
    return UnknownNameError(f"{where}no plugin is called {name!r}", hint=hint)


_SHORTEST = 3  # letters that begin a name and no other


def _begins(name: str, start: str) -> bool:
    return len(start) >= _SHORTEST and name.startswith(start)


def _words(name: str) -> set[str]:
    return set(re.split(r"[_\W]+", name))


def edits(one: str, other: str) -> int:
    """Letters put in, left out, changed or swapped with the next (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted)))
            if older and j > 1 and (letter, wanted) == (other[j - 2], one[i - 2]):
                row[j] = min(row[j], older[j - 2] + 1)
    return row[-1]
