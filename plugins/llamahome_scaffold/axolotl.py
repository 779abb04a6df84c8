"""Converts a configuration of axolotl (github.com/axolotl-ai-cloud/axolotl)."""

from __future__ import annotations

from llamahome_core import Kind
from llamahome_scaffold import axolotl_data, rules
from llamahome_scaffold.conversion import Conversion, is_off, is_on
from llamahome_scaffold.foreign import Config

SIGNS = {
    "base_model",
    "datasets",
    "gradient_accumulation_steps",
    "micro_batch_size",
    "sample_packing",
    "sequence_len",
    "val_set_size",
}
"""Settings by which such a file is known; it has ``base_model`` and one more."""

NEEDED = (("base_model",), ("datasets", "pretraining_dataset"))
"""One of each: without them it trains nothing."""

_COMPUTED = "how it is computed, not what: LlamaHome chooses by itself"
_QUANTISED = "the base model is not quantised here: it takes more memory, and is more precise"
_PARALLEL = "one process trains; how many machines share the work changes nothing in the recipe"
_EPOCH = "counted in steps here: `llamahome plan` tells the steps of an epoch"
_TOKENS = "the tokenizer is taken as it comes with the model"

SAME = {
    "dataset_prepared_path": "prepared data is cached by its content",
    "output_dir": "a run is a folder below `runs`, and its result a published version",
    "strict": "unknown settings are always refused",
    "tokenizer_type": "the tokenizer comes with the model",
    "model_type": "the class comes with the model",
    "pad_to_sequence_len": "nothing is padded",
    "eval_sample_packing": "nothing is padded",
    "eval_batch_size": "evaluation packs documents too; the loss is the same",
    "group_by_length": "nothing is padded, so there is nothing to group for",
    "flash_attention": _COMPUTED,
    "attn_implementation": _COMPUTED,
    "sdp_attention": _COMPUTED,
    "xformers_attention": _COMPUTED,
    "tf32": _COMPUTED,
    "torch_compile": _COMPUTED,
    "remove_unused_columns": "fields that are not named are not read",
    "shuffle_merged_datasets": "documents are shuffled by seed and epoch",
    "dataset_processes": "preparing needs no setting",
    "dataloader_num_workers": "preparing needs no setting",
    "dataloader_pin_memory": "preparing needs no setting",
    "dataloader_prefetch_factor": "preparing needs no setting",
    "ddp_timeout": "there is one process",
    "local_rank": "there is one process",
    "save_safetensors": "weights are always safetensors",
    "debug": "llamahome -v says more",
    "skip_prepare_dataset": "data is always prepared, once",
    "low_cpu_mem_usage": _COMPUTED,
}
"""Settings that ask for what LlamaHome does anyway, whatever their value."""

PREFIXES = {
    ("wandb_", "mlflow_", "comet_", "trackio_", "swanlab_", "use_swanlab", "use_wandb"): (
        "no such monitor is installed"
    ),
    ("liger_", "lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "cut_cross_entropy"): (
        _COMPUTED
    ),
    ("fsdp", "deepspeed", "dp_", "tensor_parallel", "context_parallel", "expert_parallel", "ddp"): (
        _PARALLEL
    ),
    (
        "trl",
        "vllm",
        "rl_",
        "dpo_",
        "kto_",
        "orpo_",
        "simpo_",
        "cpo_",
        "ebft",
        "eaft_",
        "num_labels",
    ): ("a setting of the objective, which a plugin must bring"),
    ("processor_", "freeze_mm", "image_"): "models of text alone are trained",
    ("gptq", "bnb_config", "model_quantization", "quantize_", "qat", "quantization"): _QUANTISED,
}
"""Beginnings of settings that have no place in a recipe."""

UNMAPPED = {
    "load_in_4bit": _QUANTISED,
    "load_in_8bit": _QUANTISED,
    "trust_remote_code": "code of a model is never run",
    "special_tokens": _TOKENS,
    "tokens": _TOKENS,
    "added_tokens_overrides": _TOKENS,
    "eot_tokens": _TOKENS,
    "resize_token_embeddings_to_32x": _TOKENS,
    "chat_template_jinja": "the model's own chat template is used",
    "lora_model_dir": "training goes on from a whole model: merge the adapter first",
    "lora_modules_to_save": "LoRA trains its updates alone",
    "lora_target_parameters": "LoRA adapts linear layers",
    "peft_use_dora": "LoRA is plain",
    "peft_use_rslora": "LoRA is plain: for the same scale, set adapter.alpha to alpha x sqrt(rank)",
    "loraplus_lr_ratio": "LoRA is plain: one learning rate",
    "unfrozen_parameters": "no installed adapter trains parameters by name",
    "evals_per_epoch": _EPOCH,
    "saves_per_epoch": _EPOCH,
    "early_stopping_patience": "a run ends when its length is reached",
    "load_best_model_at_end": "the last weights are published",
    "metric_for_best_model": "the last weights are published",
    "resume_from_checkpoint": "llamahome run --resume goes on with a run of LlamaHome",
    "hub_model_id": "versions are published here; docs/how-to/publish.md says how to take one out",
    "push_dataset_to_hub": "prepared data stays here",
    "plugins": "plugins of axolotl do not load here",
    "neftune_noise_alpha": "no installed objective adds noise",
    "loss_watchdog_threshold": "no run ends for the size of its loss",
    "loss_watchdog_patience": "no run ends for the size of its loss",
}
"""Settings that are known and have no place in a recipe, with the reason."""


def recognises(config: Config) -> bool:
    """Whether this is a configuration of axolotl."""
    return "base_model" in config and len(SIGNS & config.entries.keys()) > 1


def convert(c: Conversion) -> None:
    """Map what can be mapped; what is not looked at here is left for :meth:`Conversion.finish`."""
    rules.model(c, "base_model", "revision_of_model")
    base = c.config.peek("base_model")
    for key in ("base_model_config", "tokenizer_config"):
        if c.config.peek(key) == base:
            c.same(key, "the same as base_model")
        else:
            c.drop(key, "configuration and tokenizer come with the model")
    axolotl_data.read_data(c)
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
    if not c.number("batch.max_length", "sequence_len", whole=True):
        c.assume("batch.max_length", 512, "sequence_len is not set, which means 512 there")
    long = str(c.config.peek("excess_length_strategy"))
    ways = {"drop": "drop", "truncate": "truncate", "raise": "error"}
    if long in ways:
        c.put("batch.overlong", ways[long], "excess_length_strategy")
    else:
        c.assume("batch.overlong", "drop", "excess_length_strategy is not set: drop, there too")
    packs = c.config.peek("sample_packing")
    packed = "sample_packing" if is_on(packs) else None
    if packs is not None and not packed:
        c.same("sample_packing", "steps are counted in rows; nothing is padded")
    keys = ("micro_batch_size", "gradient_accumulation_steps")
    rules.batch(c, keys, (1, 1), packed)
    c.drop("batch_size", "micro_batch_size and gradient_accumulation_steps say it")


def _objective(c: Conversion) -> None:
    forms = {row.get("format") for row in c.tables.get("data", [])}
    text = "text" in forms and forms <= {"text", None}
    if "rl" in c.config and not is_off(c.config.peek("rl")):
        rules.other(c, Kind.OBJECTIVE, str(c.config.peek("rl")), "rl")
    elif is_on(c.config.peek("use_eaft")):
        rules.other(c, Kind.OBJECTIVE, "eaft", "use_eaft")
    elif is_on(c.config.peek("reward_model")) or is_on(c.config.peek("process_reward_model")):
        key = "reward_model" if "reward_model" in c.config else "process_reward_model"
        rules.other(c, Kind.OBJECTIVE, "reward", key)
    elif text:
        c.assume("objective.use", "pretrain", "the rows are plain text: every token is learned")
        c.same("train_on_inputs", "every token of plain text is learned")
    elif is_on(c.config.peek("train_on_inputs")):
        c.put("objective.use", "pretrain", "train_on_inputs")
    else:
        c.assume("objective.use", "sft", "train_on_inputs is off there too")
        c.same("train_on_inputs", "the assistant's turns are learned")
        if "text" in forms:
            c.note("unmapped", None, "sft cannot learn rows of plain text")
    _template(c)


def _template(c: Conversion) -> None:
    name = c.config.peek("chat_template")
    if name == "tokenizer_default":
        c.same("chat_template", "the model's own chat template is used")
    elif name is not None:
        why = f"the model's own chat template is used: it should be that of {name}"
        c.note("assumed", "chat_template", why)


def _adapter(c: Conversion) -> None:
    name = c.config.peek("adapter")
    if name is None or is_off(name):
        c.assume("adapter.use", "full", "adapter is not set: every weight is trained")
        c.note("unset", "adapter", "every weight is trained")
        lora = [k for k in c.config.left() if k.startswith(("lora_", "peft_"))]
        c.drop_all(lora, "adapter is not set, so it has no effect")
        return
    if name == "qlora":
        c.assume("adapter.use", "lora", "LoRA over a model that is not quantised", "adapter")
        c.note("unmapped", "adapter", _QUANTISED)
    elif name == "lora":
        c.put("adapter.use", "lora", "adapter")
    else:
        rules.other(c, Kind.ADAPTER, str(name), "adapter")
        return
    rules.lora(c, "lora_r", 8)
    _targets(c)
    c.drop("lora_fan_in_fan_out", "told by the layer")


def _targets(c: Conversion) -> None:
    given = c.config.peek("lora_target_modules")
    if is_on(c.config.peek("lora_target_linear")) or given in ("all-linear", ["all-linear"]):
        c.note("mapped", "lora_target_linear", "adapter.targets: all linear layers")
        c.same("lora_target_modules", "they are among all linear layers")
        return
    c.drop("lora_target_linear", "all linear layers")
    if given:
        names = given if isinstance(given, list) else [given]
        rules.targets(c, [str(name) for name in names], "lora_target_modules")
    else:
        why = "all linear layers; where nothing is set, peft chooses by the kind of model there"
        c.note("assumed", None, why)


def _optimizer(c: Conversion) -> None:
    rules.optimizer(c, "optimizer")
    if not c.number("optimizer.learning_rate", "learning_rate"):
        c.note("assumed", None, "the file gives no learning_rate: it is LlamaHome's default")
    rules.adam(c)
    c.drop("optim_args", "the settings of the optimizer have names of their own")
    rules.schedule(c, "lr_scheduler", "cosine", ("cosine_min_lr_ratio",))


def _run(c: Conversion) -> None:
    rules.length(c, "num_epochs", 1.0)
    rules.warmup(c, 0.03, "no warm-up is set, which means 3 % of the steps there, at most 100")
    rules.precision(c, "bf16", "bfloat16", half=("fp16", "float16"))
    c.number("train.clip", "max_grad_norm")
    c.number("train.log_every", "logging_steps", whole=True)
    _memory(c)
    rules.evaluation(c, "val_set_size")
    rules.checkpoints(c)
    rules.seed(c)
    if is_on(c.config.peek("use_tensorboard")):
        rules.monitors(c, ["tensorboard"], "use_tensorboard")
    c.drop("use_tensorboard", "neither on nor off")


def _memory(c: Conversion) -> None:
    value = c.config.peek("gradient_checkpointing")
    if is_on(value):
        c.put("train.checkpointing", True, "gradient_checkpointing")
    elif value is not None and not is_off(value):
        why = "activations are computed again, and not moved to the processor's memory"
        c.assume("train.checkpointing", True, why, "gradient_checkpointing")
    elif value is not None:
        c.put("train.checkpointing", False, "gradient_checkpointing")
    c.same("gradient_checkpointing_kwargs", "how activations are computed again changes no result")
    c.drop("activation_offloading", "activations are not moved to the processor's memory")
