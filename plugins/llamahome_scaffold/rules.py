"""Rules that both dialects share: both hand their settings on to the trainer of transformers."""

from __future__ import annotations

import os
from typing import Any

from llamahome_core import Kind
from llamahome_scaffold.conversion import Conversion, as_number, is_off, is_on

ADAMW = {
    "adamw",
    "adamw_apex_fused",
    "adamw_hf",
    "adamw_torch",
    "adamw_torch_fused",
    "adamw_torch_xla",
}
"""Optimizers that are AdamW, computed in one way or another."""
ADAMW_SMALL = {
    "adamw_8bit",
    "adamw_bnb_8bit",
    "adamw_torch_4bit",
    "adamw_torch_8bit",
    "adamw_torch_fp8",
    "paged_adamw",
    "paged_adamw_32bit",
    "paged_adamw_8bit",
}
"""AdamW with its state in fewer bits, or moved out of the way."""
SCHEDULES = {"linear": "linear", "cosine": "cosine", "cosine_with_min_lr": "cosine"}
_FROM_ZERO = 2  # a run that saves keeps two checkpoints at least


def model(c: Conversion, key: str, revision: str) -> None:
    """The model: a path, or a name on the hub with its revision; a folder goes before, as there."""
    name = str(c.config.peek(key))
    is_path = name.startswith(("./", "../", "/", "~"))
    if is_path or os.path.isdir(name):  # noqa: PTH112  # Path raises for a name that is too long
        c.put("model.from", name if is_path else f"./{name}", key)
        c.drop(revision, "the model is a folder, which has no revisions")
        return
    branch = c.config.peek(revision)
    c.put("model.from", f"hub:{name}" + (f"@{branch}" if branch else ""), key)
    if branch:
        c.note("mapped", revision, "model.from")
    if name.count("/") != 1:
        c.note("assumed", key, "this is the name of a model on the hub, and not a folder")


def optimizer(c: Conversion, key: str) -> None:
    """The algorithm; another one is never put in its place."""
    given = c.config.peek(key)
    name = str(given).lower() if given is not None else "adamw_torch"
    if given is None:
        c.assume("optimizer.use", "adamw", f"{key} is not set, which means AdamW there too")
    elif name in ADAMW:
        c.put("optimizer.use", "adamw", key)
    elif name in ADAMW_SMALL:
        why = "AdamW as well; its state is kept in fp32 here, which takes more memory"
        c.assume("optimizer.use", "adamw", why, key)
    else:
        other(c, Kind.OPTIMIZER, name, key)


def other(c: Conversion, kind: Kind, name: str, key: str) -> None:
    """Choose what the file chooses, though it may not be installed: nothing stands in for it."""
    use = name.replace("_", "-")
    c.put(f"{kind.value}.use", use, key)
    if not c.offers(kind, use):
        c.note("unmapped", key, f"no {kind.title} {use!r} is installed: a plugin must bring it")


def adam(c: Conversion) -> None:
    """The numbers of AdamW."""
    c.number("optimizer.beta1", "adam_beta1")
    c.number("optimizer.beta2", "adam_beta2")
    c.number("optimizer.epsilon", "adam_epsilon")
    c.number("optimizer.weight_decay", "weight_decay")


def schedule(c: Conversion, key: str, default: str, minimum: tuple[str, ...] = ()) -> None:
    """The learning rate over time; *default* is what the tool does where nothing is set."""
    given = c.config.peek(key)
    name = str(given or default).lower()
    if name in {"constant", "constant_with_warmup"}:
        use = "constant"
    elif name in SCHEDULES:
        use = SCHEDULES[name]
    else:
        other(c, Kind.SCHEDULE, name, key)
        return
    if given is None:
        c.assume("schedule.use", use, f"{key} is not set, which means {default} there")
    else:
        c.put("schedule.use", use, key)
    for low in minimum:
        if use == "cosine":
            c.number("schedule.minimum", low)


def warmup(c: Conversion, default: float, because: str) -> None:
    """The share of the steps in which the rate rises; a number of steps needs their total."""
    if c.tables.get("schedule", {}).get("use") == "constant" and not _warms(c):
        why = "it has no effect there: `constant` has no warm-up"
        c.drop_all(("warmup_ratio", "warmup_steps"), why)
        c.assume("schedule.warmup", 0.0, "the schedule `constant` has no warm-up there")
        return
    steps, ratio = (as_number(c.config.peek(key)) for key in ("warmup_steps", "warmup_ratio"))
    if steps:
        if ratio is not None:
            c.drop("warmup_ratio", "warmup_steps goes before it there")
        _warmup_steps(c, steps)
    elif ratio is not None:
        c.put("schedule.warmup", float(ratio), "warmup_ratio")
        c.drop("warmup_steps", "it is no number")
    elif steps is not None:
        c.put("schedule.warmup", 0.0, "warmup_steps")
    else:
        c.assume("schedule.warmup", default, because)


def _warms(c: Conversion) -> bool:
    names = (str(c.config.peek(key)) for key in ("lr_scheduler", "lr_scheduler_type"))
    return "constant_with_warmup" in names


def _warmup_steps(c: Conversion, steps: float) -> None:
    total = c.tables.get("train", {}).get("steps")
    if steps < 1:
        c.put("schedule.warmup", float(steps), "warmup_steps")  # newer versions read it as a share
    elif total:
        c.put("schedule.warmup", round(min(1.0, steps / total), 6), "warmup_steps")
    else:
        why = (
            f"schedule.warmup is a share: write {steps:g} divided by the number of steps, which "
            "`llamahome plan` tells"
        )
        c.note("unmapped", "warmup_steps", why)
        c.assume("schedule.warmup", 0.0, "see warmup_steps")


def length(c: Conversion, epochs: str, default: float) -> None:
    """How long to train: steps go before epochs, as there."""
    steps = as_number(c.config.peek("max_steps"))
    if steps is not None and steps > 0:
        c.number("train.steps", "max_steps", whole=True)
        c.drop(epochs, "max_steps goes before it")
        return
    if steps is not None:
        c.note("same", "max_steps", "it sets no limit")
    c.drop("max_steps", "no number of steps")
    if not c.number("train.epochs", epochs):
        c.assume("train.epochs", default, f"{epochs} is not set, which means {default:g} there")


def batch(
    c: Conversion, keys: tuple[str, str], defaults: tuple[int, int], packed: str | None
) -> None:
    """Rows of a micro-batch times micro-batches; packed rows are full of tokens.

    Args:
        c: The conversion; ``batch.max_length`` is set.
        keys: The settings for rows of a micro-batch, and for micro-batches of a step.
        defaults: What they are where they are not set.
        packed: The setting that packs documents into rows of full length, if it is on.
    """
    counts = []
    for key, default in zip(keys, defaults, strict=True):
        found = as_number(c.config.peek(key))
        if found is None or found < 1:
            c.drop(key, "no number of rows; it is taken for what it is if not set")
            c.note("assumed", None, f"{key} is not set, which means {default} there")
        counts.append(int(found) if found and found >= 1 else default)
    rows, parts = counts
    total, longest = rows * parts, c.tables["batch"]["max_length"]
    what = f"{rows} row{'s' if rows > 1 else ''} of a micro-batch by {parts} of them"
    if packed:
        why = f"{what}, each row packed up to {longest} tokens; on one process"
        c.assume("batch.tokens", total * longest, why, packed)
    else:
        c.assume("batch.rows", total, f"{what}; on one process")
    c.assume("batch.accumulate", parts, "as there; the gradient is the same however it is split")
    for key in keys:
        if key in c.config:
            c.note("mapped", key, "batch.tokens" if packed else "batch.rows")


def lora(c: Conversion, rank: str, default_rank: int) -> None:
    """Rank, alpha and dropout of LoRA; the layers are each dialect's own."""
    if not c.number("adapter.rank", rank, whole=True):
        c.assume("adapter.rank", default_rank, f"{rank} is not set, which means that there")
    c.number("adapter.alpha", "lora_alpha")
    if "lora_alpha" not in c.config:
        c.note("assumed", None, "adapter.alpha is not set: it is twice the rank, here")
    c.number("adapter.dropout", "lora_dropout")


def targets(c: Conversion, names: list[str], key: str) -> None:
    """The layers of LoRA, by the last part of their names."""
    if not names:
        return
    if any(set(name) - set(_SIMPLE) for name in names):
        c.note("unmapped", key, "a pattern; adapter.targets takes names of layers: all are adapted")
        return
    last = [name.rpartition(".")[2] for name in names]
    c.put("adapter.targets", list(dict.fromkeys(last)), key)
    if last != names:
        c.note("assumed", key, "layers are told by the last part of their name, wherever they are")


_SIMPLE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."


def evaluation(c: Conversion, share: str) -> None:
    """What is held out, and when it is measured."""
    size = as_number(c.config.peek(share))
    if size is not None and size >= 1:
        why = "a number of rows; evaluate.split is a share of them"
        c.note("unmapped", share, why)
    else:
        c.number("evaluate.split", share)
    steps = as_number(c.config.peek("eval_steps"))
    if steps is not None and 0 < steps < 1:
        c.note("unmapped", "eval_steps", "a share of the run; evaluate.every counts steps")
    elif steps:
        c.number("evaluate.every", "eval_steps", whole=True)
    for key in ("eval_strategy", "evaluation_strategy"):
        when(c, key, "steps", "evaluate.every counts steps; the loss is measured before and after")


def when(c: Conversion, key: str, same: str, why: str) -> None:
    """A strategy: by *same* steps, as here, or in another way."""
    value = c.config.peek(key)
    if value is not None and str(value) == same:
        c.same(key, "by steps, as here")
    else:
        c.drop(key, why)


def checkpoints(c: Conversion) -> None:
    """When the state is saved, and how much of it is kept."""
    steps = as_number(c.config.peek("save_steps"))
    if steps is not None and 0 < steps < 1:
        c.note("unmapped", "save_steps", "a share of the run; checkpoint.every counts steps")
    elif steps:
        c.number("checkpoint.every", "save_steps", whole=True)
    limit = as_number(c.config.peek("save_total_limit"))
    if limit is not None and 0 < limit < _FROM_ZERO:
        why = "two are kept at least, for one may turn out damaged"
        c.assume("checkpoint.keep_last", _FROM_ZERO, why, "save_total_limit")
    elif limit:
        c.number("checkpoint.keep_last", "save_total_limit", whole=True)
    if not steps:
        c.note("assumed", None, "checkpoint.every is not set: the state is saved each 100 steps")
    when(c, "save_strategy", "steps", "checkpoint.every counts steps; the end is always saved")
    c.drop("save_only_model", "a checkpoint holds all that a run needs to go on")


def precision(c: Conversion, *brain: str, half: tuple[str, ...] = ("fp16",)) -> None:
    """bf16 or fp32; fp16 is not there."""
    for key in half:
        c.drop(key, "there is no fp16: train.precision is fp32, or bf16 on hardware that has it")
    for key in brain:
        value = c.config.peek(key)
        if value == "auto":
            why = "`auto` means bf16 where the hardware has it; write fp32 where it has not"
            c.assume("train.precision", "bf16", why, key)
        elif value is not None and (is_on(value) or value == "full"):
            c.put("train.precision", "bf16", key)
        elif value is not None and is_off(value):
            c.put("train.precision", "fp32", key)
        else:
            continue
        return
    c.assume("train.precision", "fp32", "no setting asks for bf16")


def monitors(c: Conversion, names: list[Any], key: str) -> None:
    """What shows the run, besides the terminal."""
    for name in (str(n).strip() for n in names):
        if c.offers(Kind.MONITOR, name):
            c.tables.setdefault("monitor", []).append({"use": name})
            c.note("mapped", key, "monitor")
        elif not is_off(name):
            c.note("unmapped", key, f"no monitor {name!r} is installed")
        else:
            c.same(key, "the terminal alone, as here")


def seed(c: Conversion) -> None:
    """The seed; both tools take 42 where nothing is set."""
    if not c.number("seed", "seed", whole=True):
        c.assume("seed", 42, "seed is not set, which means 42 there")
