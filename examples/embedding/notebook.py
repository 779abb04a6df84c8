"""Train a model in a notebook, read what happened, and ask the trained one."""

# %% [markdown]
# # Train a model in a notebook
#
# Each `# %%` begins a cell: open this file in Jupyter (with jupytext), VS Code or PyCharm, beside a
# file `train.jsonl` of conversations, such as `examples/data/train.jsonl`. `python notebook.py`
# runs it from top to bottom.

# %%
from __future__ import annotations

from typing import Any

from llamahome_core import ChatCodec, Generator, Kernel, ModelFolder, Models, live_events

kernel = Kernel()
print(kernel.workspace.root)

# %% [markdown]
# A recipe is a dict. Nothing heavy is imported and nothing is written to plan it; what is wrong
# with it is a `ConfigError` that lists everything.

# %%
recipe = {
    "name": "notebook",
    "seed": 7,
    "model": {"from": "smollm2-135m-instruct"},
    "data": [{"use": "jsonl", "path": "train.jsonl"}],
    "adapter": {"use": "lora", "rank": 8},
    "train": {"steps": 4},
    "evaluate": {"split": 0.2},
}
plan = kernel.plan(recipe)
print(plan.resolved["optimizer"])

# %% [markdown]
# The run prints what you print. To stop it, press the notebook's stop button: the folder of the run
# says so, and `kernel.resume("notebook-1")` goes on from its newest checkpoint.


# %%
def show(event: dict[str, Any]) -> None:
    """Print what is worth a line."""
    if event["t"] == "run":
        print("run", event["name"])
    elif event["t"] == "train" and event["loss"] is not None:  # None: the step was skipped
        print(f"step {event['step']} of {event['steps']}: loss {event['loss']:.3f}")
    elif event["t"] == "eval":
        print(f"held out: {event['loss']:.3f}")


outcome = kernel.run(plan, on_event=show)
assert outcome.version is not None, outcome.error  # noqa: S101  # a notebook stops here
assert outcome.directory is not None  # noqa: S101  # every outcome of the kernel has one
print(outcome.status, outcome.version.label)

# %% [markdown]
# All events are in the run's folder, now and later.

# %%
events = list(live_events(outcome.directory / "events.jsonl"))
steps = [event for event in events if event["t"] == "train" and event["loss"] is not None]
losses = {event["step"]: event["loss"] for event in steps}
print("lowest loss at step", min(losses, key=losses.__getitem__), "of", len(losses))

# %% [markdown]
# The version is a folder in Hugging Face layout. Its name leads to it, in any program.

# %%
from transformers import AutoModelForCausalLM  # noqa: E402  # when it is needed, and not before

context = kernel.context(model=outcome.version.label)
folder = context.get(Models).fetch(outcome.version.label, lambda *_: None)
context.put(ModelFolder, folder)
model = AutoModelForCausalLM.from_pretrained(folder.path)

# %%
codec = context.get(ChatCodec)
prompt = codec.encode_prompt("What is LlamaHome?")
answer = context.get(Generator).generate(model, prompt, max_tokens=16)
print("answer:", codec.decode(answer))
