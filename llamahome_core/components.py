"""What a plugin declares: small frozen records that name heavy things without importing them."""

from __future__ import annotations

import enum
import importlib
import importlib.util
from collections.abc import Callable
from importlib.machinery import PathFinder
from typing import Any

import attrs
from attrs import field, frozen, validators

from llamahome_core.errors import PluginError, UnavailableError
from llamahome_core.secrets import read_secret, reveal
from llamahome_core.terminal import aside

_TEXTS = validators.deep_iterable(
    validators.instance_of(str), iterable_validator=validators.instance_of(tuple)
)
_NAME = validators.matches_re(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def _text() -> Any:
    """A field that is text, and nothing that prints like it."""
    return field(validator=validators.instance_of(str))


class Kind(enum.Enum):
    """The roles that a component can play; the value is the recipe's table name."""

    MODEL_SOURCE = "model"
    DATA_SOURCE = "data"
    TRANSFORM = "transform"
    OBJECTIVE = "objective"
    ADAPTER = "adapter"
    OPTIMIZER = "optimizer"
    SCHEDULE = "schedule"
    TRAINER = "trainer"
    CACHE = "cache"
    STORE = "store"
    MONITOR = "monitor"

    @property
    def hook(self) -> str:
        """The hook that declares components of this kind."""
        return _HOOKS.get(self, f"llamahome_{self.value}s")

    @property
    def many(self) -> bool:
        """Whether a recipe may hold several: ``[[data]]`` rather than ``[data]``."""
        return self in {Kind.DATA_SOURCE, Kind.TRANSFORM, Kind.MONITOR}

    @property
    def title(self) -> str:
        """The words for people: ``data source``."""
        return self.name.lower().replace("_", " ")


_HOOKS = {Kind.MODEL_SOURCE: "llamahome_model_sources", Kind.DATA_SOURCE: "llamahome_data_sources"}


@frozen
class Ref:
    """A ``"package.module:attribute"`` text that is imported only by :meth:`load`."""

    path: str = field(validator=validators.matches_re(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*"))

    def load(self) -> Any:
        """Import and return the named thing.

        Raises:
            PluginError: The module cannot be imported or lacks the attribute.
        """
        module, _, attributes = self.path.partition(":")
        try:
            with aside():
                found: Any = importlib.import_module(module)
                for attribute in attributes.split("."):
                    found = getattr(found, attribute)
        except (Exception, SystemExit, GeneratorExit) as error:
            told = PluginError(f"cannot import {self.path!r}: {type(error).__name__}: {error}")
            told.module = module
            raise told from error
        return found


def _ref(value: str | Ref) -> Ref:
    return value if isinstance(value, Ref) else Ref(value)


def _optional_ref(value: str | Ref | None) -> Ref | None:
    return None if value is None else _ref(value)


def _is_config(_: object, __: object, value: Any) -> None:
    if not (isinstance(value, type) and attrs.has(value)):
        raise TypeError(f"config must be an attrs class, not {value!r}")


def _is_installed(module: str) -> bool:
    """Whether ``package.module`` could be imported; looks at files and imports nothing."""
    top, *below = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module that somebody made by hand
        return True
    for part in below:
        path = spec.submodule_search_locations if spec else None
        top = f"{top}.{part}"
        spec = PathFinder.find_spec(top, path) if path else None
    return spec is not None


@frozen(kw_only=True)
class NoSettings:
    """The settings class of a component that has none."""


@frozen(kw_only=True)
class Component:
    """One named, configurable part of a recipe; ``factory(config, context)`` builds it.

    Attributes:
        name: What a recipe writes in ``use``: lower case, digits and hyphens.
        summary: One line for lists.
        config: A frozen, keyword-only attrs class; light to import.
        factory: Where the implementation is, as ``"module:attribute"``; imported when built.
        needs: Modules that must be importable, such as ``("torch",)``.
        extra: The extra of LlamaHome (or the whole requirement) that brings them.
    """

    name: str = field(validator=_NAME)
    summary: str = _text()
    factory: Ref = field(converter=_ref)
    config: type = field(default=NoSettings, validator=_is_config)
    needs: tuple[str, ...] = field(default=(), validator=_TEXTS)
    extra: str | None = field(
        default=None, validator=validators.optional(validators.instance_of(str))
    )

    def missing(self) -> list[str]:
        """The needed modules that are not installed; nothing is imported to find out."""
        return [module for module in self.needs if not _is_installed(module)]

    def require(self) -> None:
        """Check that what the component needs is installed.

        Raises:
            UnavailableError: Something is missing; the hint is the pip command that brings it.
        """
        if missing := self.missing():
            raise UnavailableError(
                f"{self.name!r} needs {', '.join(missing)}, which is not installed",
                hint=self.install_hint(),
            )

    def install_hint(self) -> str:
        """The command that installs what is missing."""
        if self.extra is None:
            return f"pip install {' '.join(self.missing())}"
        wanted = f"llamahome[{self.extra}]" if self.extra.isalnum() else self.extra
        return f"pip install '{wanted}'"

    def build(self, config: object, context: Any) -> Any:
        """Import the factory and call it with the settings, secrets in the place of references.

        Raises:
            SecretError: A secret is not there.
        """
        self.require()
        make: Callable[[Any, Any], Any] = self.factory.load()
        return make(reveal(config, lambda name: read_secret(name, context.variable)), context)


@frozen(kw_only=True)
class Command:
    """A subcommand whose implementation is imported when it runs, not when it is listed.

    Attributes:
        name: The word after ``llamahome``.
        summary: One line for ``--help``.
        command: A ``click.Command``, as ``"module:attribute"``.
        config: Its settings, a frozen, keyword-only attrs class: they stand in ``[command.NAME]``
            of the settings, and :func:`~llamahome_core.command_settings` gives them to it.
    """

    name: str = field(validator=_NAME)
    summary: str = _text()
    command: Ref = field(converter=_ref)
    config: type = field(default=NoSettings, validator=_is_config)


@frozen(kw_only=True)
class Service:
    """The one provider of a Protocol: ``factory(context)`` makes what ``context.get`` returns.

    Attributes:
        protocol: The Protocol class of the kernel (or of the plugin's own public API).
        factory: ``"module:attribute"``; called once per context, when first asked for.
        summary: One line for lists.
    """

    protocol: type
    factory: Ref = field(converter=_ref)
    summary: str = _text()


@frozen(kw_only=True)
class Stage:
    """One part of a run, such as *prepare*: ``run(context)`` does it.

    Attributes:
        name: Unique among stages; shown in progress and events.
        summary: One line for lists.
        run: ``"module:function"`` called with the context; raises to fail the run.
        after: Names of stages that must be done before, where they exist.
        plan: ``"module:function"`` called with the context by ``llamahome plan``; returns a
            mapping of label to plain value; it loads no weights and trains nothing.
    """

    name: str = field(validator=_NAME)
    summary: str = _text()
    run: Ref = field(converter=_ref)
    after: tuple[str, ...] = ()
    plan: Ref | None = field(default=None, converter=_optional_ref)


@frozen(kw_only=True)
class Check:
    """One line of ``llamahome doctor``: ``run(context)`` yields findings.

    Attributes:
        name: Unique among checks.
        summary: What is checked, in a line.
        run: ``"module:function"``; yields ``(status, message)`` with status ``ok``, ``info``,
            ``warning`` or ``problem``; changes nothing.
    """

    name: str = field(validator=_NAME)
    summary: str = _text()
    run: Ref = field(converter=_ref)


@frozen(kw_only=True)
class Defaults:
    """Settings that a plugin brings, the layer just above LlamaHome's own defaults.

    Attributes:
        tables: Plain nested tables, such as ``{"models": {"my-model": {"source": "hub:…"}}}``.
    """

    tables: dict[str, Any]


@frozen(kw_only=True)
class PackagedRecipe:
    """A recipe inside a plugin: ``llamahome run NAME`` runs it.

    Attributes:
        name: What the user types.
        summary: One line for lists.
        package: The package that holds it.
        file: Its path inside the package.
    """

    name: str = field(validator=_NAME)
    summary: str = _text()
    package: str = _text()
    file: str = _text()
