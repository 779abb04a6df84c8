"""Converts a configuration of LLaMA-Factory (github.com/hiyouga/LLaMA-Factory)."""

from __future__ import annotations

from llamahome_core import Kind
from llamahome_scaffold import llama_factory_data, rules
from llamahome_scaffold.conversion import Conversion, is_off, is_on
from llamahome_scaffold.foreign import Config

SIGNS = {"cutoff_len", "dataset", "dataset_dir", "finetuning_type", "stage", "template"}
"""Settings by which such a file is known; it has ``model_name_or_path`` and one of these."""

NEEDED = (("model_name_or_path",), ("dataset",))
"""One of each: without them it trains nothing."""

_COMPUTED = "how it is computed, not what: LlamaHome chooses by itself"
_QUANTISED = "the base model is not quantised here: it takes more memory, and is more precise"
_PARALLEL = "one process trains; how many machines share the work changes nothing in the recipe"
_PICTURES = "models of text alone are trained"

SAME = {
    "do_train": "a run trains",
    "do_eval": "held-out rows are always measured",
    "output_dir": "a run is a folder below `runs`, and its result a published version",
    "overwrite_output_dir": "each run has a folder of its own",
    "overwrite_cache": "prepared data is cached by its content",
    "tokenized_path": "prepared data is cached by its content",
    "preprocessing_num_workers": "preparing needs no setting",
    "preprocessing_batch_size": "preparing needs no setting",
    "dataloader_num_workers": "preparing needs no setting",
    "plot_loss": "the terminal shows the loss; the monitor tensorboard draws it",
    "per_device_eval_batch_size": "evaluation packs documents too; the loss is the same",
    "ddp_timeout": "there is one process",
    "flash_attn": _COMPUTED,
    "enable_liger_kernel": _COMPUTED,
    "use_fast_tokenizer": "the tokenizer is always the fast one",
    "use_unsloth": _COMPUTED,
    "use_unsloth_gc": _COMPUTED,
    "use_reentrant_gc": _COMPUTED,
    "use_v1_kernels": _COMPUTED,
    "low_cpu_mem_usage": _COMPUTED,
    "dataset_dir": "where dataset_info.json was looked for",
    "cache_dir": "models are cached in the workspace",
    "run_name": "a run is named after its recipe",
    "save_safetensors": "weights are always safetensors",
    "include_num_input_tokens_seen": "tokens are always counted",
    "ignore_pad_token_for_loss": "nothing is padded",
}
"""Settings that ask for what LlamaHome does anyway, whatever their value."""

UNMAPPED = {
    "trust_remote_code": "code of a model is never run",
    "quantization_bit": _QUANTISED,
    "quantization_method": _QUANTISED,
    "quantization_type": _QUANTISED,
    "double_quantization": _QUANTISED,
    "adapter_name_or_path": "training goes on from a whole model: merge the adapter first",
    "additional_target": "LoRA trains its updates alone",
    "use_rslora": "LoRA is plain: for the same scale, set adapter.alpha to alpha x sqrt(rank)",
    "use_dora": "LoRA is plain",
    "pissa_init": "LoRA is plain",
    "pissa_convert": "LoRA is plain",
    "loraplus_lr_ratio": "LoRA is plain: one learning rate",
    "resume_from_checkpoint": "llamahome run --resume goes on with a run of LlamaHome",
    "mask_history": "every turn of the assistant is learned",
    "streaming": "data is prepared once, and read from the disk",
    "mix_strategy": "several [[data]] are read one after another, and shuffled",
    "interleave_probs": "several [[data]] are read one after another, and shuffled",
    "default_system": "write a system turn into the rows",
    "enable_thinking": "the model's own chat template is used",
    "tool_format": "the model's own chat template is used",
    "neftune_noise_alpha": "no installed objective adds noise",
    "early_stopping_steps": "a run ends when its length is reached",
    "load_best_model_at_end": "the last weights are published",
    "metric_for_best_model": "the last weights are published",
    "predict_with_generate": "[sample] lets the model answer prompts",
    "compute_accuracy": "the held-out loss is measured",
    "rope_scaling": "a model is taken as it is",
    "resize_vocab": "the tokenizer is taken as it comes with the model",
    "add_tokens": "the tokenizer is taken as it comes with the model",
    "add_special_tokens": "the tokenizer is taken as it comes with the model",
    "eval_on_each_dataset": "one held-out loss is measured",
    "freeze_vision_tower": _PICTURES,
    "freeze_multi_modal_projector": _PICTURES,
    "freeze_language_model": _PICTURES,
    "push_to_hub": "versions are published here; docs/how-to/publish.md says how to take one out",
    "hub_model_id": "versions are published here; docs/how-to/publish.md says how to take one out",
}
"""Settings that are known and have no place in a recipe, with the reason."""

PREFIXES = {
    ("image_", "video_", "audio_", "media_", "crop_to_patches"): _PICTURES,
    ("deepspeed", "fsdp", "ddp_", "ray_", "tensor_model", "pipeline_model", "sequence_parallel"): (
        _PARALLEL
    ),
    ("pref_", "kto_", "ppo_", "dpo_", "simpo_", "ref_model", "reward_model", "ld_alpha"): (
        "a setting of the objective, which a plugin must bring"
    ),
    ("freeze_", "oft_", "module_dropout"): "a setting of the adapter, which a plugin must bring",
    ("galore_", "apollo_", "badam_"): "a setting of the optimizer, which a plugin must bring",
    ("asft_", "eaft_"): "a setting of the objective, which a plugin must bring",
    ("swanlab_", "use_swanlab", "wandb_"): "no such monitor is installed",
    ("fp8",): "there is no fp8: train.precision is fp32 or bf16",
}
"""Beginnings of settings that have no place in a recipe."""

OPTIMIZERS = {
    "use_adam_mini": "adam-mini",
    "use_apollo": "apollo",
    "use_badam": "badam",
    "use_galore": "galore",
    "use_muon": "muon",
}
"""Switches that put another optimizer in the place of the one in ``optim``."""

LOSSES = {"use_asft_loss": "asft", "use_dft_loss": "dft", "use_eaft_loss": "eaft"}
"""Switches that put another loss in the place of the usual one."""

STAGES = {"dpo": "dpo", "kto": "kto", "ppo": "ppo", "rm": "reward"}


def recognises(config: Config) -> bool:
    """Whether this is a configuration of LLaMA-Factory."""
    return "model_name_or_path" in config and bool(SIGNS & config.entries.keys())


def convert(c: Conversion) -> None:
    """Map what can be mapped; what is not looked at here is left for :meth:`Conversion.finish`."""
    rules.model(c, "model_name_or_path", "model_revision")
    llama_factory_data.read_data(c)
    _batch(c)
    _objective(c)
    _adapter(c)
    _optimizer(c)
    _run(c)
    for key, why in UNMAPPED.items():
        c.drop(key, why)
    for key, why in SAME.items():
        c.same(key, why)
    for key in [k for k in c.config.left() if k in c.config]:
        for beginnings, why in PREFIXES.items():
            if key.startswith(beginnings):
                c.drop(key, why)


def _batch(c: Conversion) -> None:
    if not c.number("batch.max_length", "cutoff_len", whole=True):
        c.assume("batch.max_length", 2048, "cutoff_len is not set, which means 2048 there")
    pretrains = c.config.peek("stage") == "pt"
    packs = c.config.peek("packing")
    packed = is_on(packs) or is_on(c.config.peek("neat_packing")) or (pretrains and packs is None)
    long = "split" if pretrains and packed else "truncate"
    why = "text is cut into pieces" if long == "split" else "longer rows are cut off there"
    c.assume("batch.overlong", long, why)
    keys = ("per_device_train_batch_size", "gradient_accumulation_steps")
    rules.batch(c, keys, (8, 1), "packing" if packed else None)
    if packed and not is_on(c.config.peek("neat_packing")):
        why = "attention never crosses from one document into another here, as neat_packing there"
        c.note("assumed", None, why)
    c.same("neat_packing", "attention never crosses from one document into another")
    c.same("packing", "steps are counted in rows; nothing is padded")


def _objective(c: Conversion) -> None:
    stage = str(c.config.peek("stage") or "sft")
    if stage in STAGES:
        rules.other(c, Kind.OBJECTIVE, STAGES[stage], "stage")
    elif stage == "pt":
        c.put("objective.use", "pretrain", "stage")
    elif is_on(c.config.peek("train_on_prompt")):
        c.put("objective.use", "pretrain", "train_on_prompt")
        c.same("stage", "every token is learned, as train_on_prompt says")
    elif stage == "sft":
        if "stage" in c.config:
            c.put("objective.use", "sft", "stage")
        else:
            c.assume("objective.use", "sft", "stage is not set, which means sft there")
    else:
        rules.other(c, Kind.OBJECTIVE, stage, "stage")
    for key in (key for key in LOSSES if is_on(c.config.peek(key))):
        rules.other(c, Kind.OBJECTIVE, LOSSES[key], key)
    c.drop_all(LOSSES, "the usual loss")
    c.drop("train_on_prompt", "it has an effect with stage sft alone")
    if "template" in c.config and stage != "pt":
        name = c.config.peek("template")
        why = f"the model's own chat template is used: it should be that of {name}"
        c.note("assumed", "template", why)
    c.same("template", "plain text has no template")


def _adapter(c: Conversion) -> None:
    name = str(c.config.peek("finetuning_type") or "lora")
    if name not in {"lora", "full"}:
        rules.other(c, Kind.ADAPTER, name, "finetuning_type")
        return
    if "finetuning_type" in c.config:
        c.put("adapter.use", name, "finetuning_type")
    else:
        c.assume("adapter.use", "lora", "finetuning_type is not set, which means lora there")
    if name == "full":
        lora = [k for k in c.config.left() if k.startswith("lora_")]
        c.drop_all(lora, "every weight is trained, so it has no effect")
        return
    rules.lora(c, "lora_rank", 8)
    given = c.config.peek("lora_target")
    names = given if isinstance(given, list) else str(given or "all").split(",")
    names = [str(n).strip() for n in names]
    if names == ["all"]:
        if given:
            c.note("mapped", "lora_target", "adapter.targets: all linear layers")
    else:
        rules.targets(c, names, "lora_target")


def _optimizer(c: Conversion) -> None:
    rules.optimizer(c, "optim")
    for key in (key for key in OPTIMIZERS if is_on(c.config.peek(key))):
        rules.other(c, Kind.OPTIMIZER, OPTIMIZERS[key], key)
    c.drop_all(OPTIMIZERS, "the usual optimizer")
    if not c.number("optimizer.learning_rate", "learning_rate"):
        c.assume(
            "optimizer.learning_rate", 5e-5, "learning_rate is not set, which means that there"
        )
    rules.adam(c)
    rules.schedule(c, "lr_scheduler_type", "linear")
    c.drop("lr_scheduler_kwargs", "the settings of a schedule have names of their own")


def _run(c: Conversion) -> None:
    rules.length(c, "num_train_epochs", 3.0)
    rules.warmup(c, 0.0, "no warm-up is set, which means none there")
    if is_on(c.config.peek("pure_bf16")):
        why = "the products are bf16; weights and the optimizer's state stay in fp32 here"
        c.assume("train.precision", "bf16", why, "pure_bf16")
        c.drop_all(("bf16", "fp16"), "pure_bf16 goes before it")
    else:
        rules.precision(c, "bf16")
    c.drop("pure_bf16", "see train.precision")
    c.number("train.clip", "max_grad_norm")
    c.number("train.log_every", "logging_steps", whole=True)
    if is_off(c.config.peek("disable_gradient_checkpointing") or False):
        c.assume(
            "train.checkpointing", True, "activations are computed again there, if not disabled"
        )
        c.same("disable_gradient_checkpointing", "train.checkpointing is on")
    else:
        c.put("train.checkpointing", False, "disable_gradient_checkpointing")
    c.same("gradient_checkpointing", "train.checkpointing says it")
    rules.evaluation(c, "val_size")
    rules.checkpoints(c)
    rules.seed(c)
    if "report_to" in c.config:
        given = c.config.peek("report_to")
        rules.monitors(c, given if isinstance(given, list) else [given], "report_to")
