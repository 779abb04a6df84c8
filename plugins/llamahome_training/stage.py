"""The train stage: builds everything, goes on from a checkpoint if there is one, trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from llamahome_core import Context, ModelFolder, PreparedData, Trained
from llamahome_training import checkpoints, forward, model, parts
from llamahome_training.evaluation import Evaluator, Sampler
from llamahome_training.loop import Loop


def train(context: Context) -> None:
    """Train; leaves a `Trained` in the context. The process's random state is as it was before."""
    before = torch.get_num_threads()
    torch.set_num_threads(context.recipe.resources.threads or before)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(context.recipe.seed)
            _train(context)
    finally:
        torch.set_num_threads(before)


def _train(context: Context) -> None:
    folder, data = context.get(ModelFolder), context.get(PreparedData)
    adapter, trainer = context.build("adapter"), context.build("trainer")
    optimizer, objective = context.build("optimizer"), context.build("objective")
    context.phase("load model")
    module = trainer.setup(
        lambda: parts.module(context, adapter.apply(model.load(folder, context.recipe.train))),
        lambda named: parts.optimizer(context, optimizer, optimizer.build(named)),
    )
    forward.refuse_leaks(module, trainer.device, module.config.vocab_size)
    total, trained = model.count(module)
    context.events.emit(
        "parameters",
        total=total,
        trained=trained,
        device=str(trainer.device),
        precision=context.recipe.train.precision,
        clip=context.recipe.train.clip or None,
    )
    steps = data.training(seed=context.recipe.seed)
    loop = Loop(
        context=context,
        trainer=trainer,
        module=module,
        objective=objective,
        optimizer=optimizer,
        schedule=context.build("schedule"),
        steps=steps,
        total=context.recipe.train.total_steps(steps.per_epoch, int(data.summary["tokens"])),
        data_digest=data.digest,
        evaluator=Evaluator(context=context, objective=objective, data=data.evaluation()),
        sampler=Sampler(context=context),
    )
    if context.resume:
        _resume(context, loop)
    context.phase("train")
    loop.run()
    left = model.TrainedModel(module, adapter, _metrics(loop), _dtype(context, folder))
    context.put(Trained, left)


def _resume(context: Context, loop: Loop) -> None:
    loop.position = checkpoints.restore(context, loop.trainer, loop.data_digest)
    loop.evaluator.first = loop.position.first_evaluation
    loop.evaluator.best = loop.position.best_evaluation
    loop.evaluator.last = loop.position.last_evaluation
    checkpoints.sweep(context)
    context.events.emit("rewind", step=loop.position.step)


def _metrics(loop: Loop) -> dict[str, Any]:
    evaluator, position = loop.evaluator, loop.position
    found = {
        "steps": position.step,
        "tokens": position.tokens,
        "tokens_trained": position.trained_tokens,
        "evaluate_loss_before": evaluator.first,
        "evaluate_loss": evaluator.last,
        "evaluate_loss_best": position.best_evaluation,
    }
    return {key: value for key, value in found.items() if value is not None}


def _dtype(context: Context, folder: ModelFolder) -> torch.dtype:
    name = context.recipe.publish.dtype
    return model.stored_dtype(folder) if name == "base" else model.DTYPES[name]


def plan(context: Context) -> Mapping[str, Any]:
    """What `llamahome plan` says of this stage."""
    train = context.recipe.train
    return {
        "trainer": context.recipe.chosen["trainer"].name,
        "precision": train.precision,
        "gradient clipping": train.clip or "off",
    }
