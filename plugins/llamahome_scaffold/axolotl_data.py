"""The datasets of a configuration of axolotl."""

from __future__ import annotations

from typing import Any

from llamahome_scaffold import rows
from llamahome_scaffold.conversion import Conversion, is_off


def read_data(c: Conversion) -> None:
    """Each dataset of the file as a ``[[data]]``."""
    for key, role in (("datasets", ""), ("pretraining_dataset", ""), ("test_datasets", "evaluate")):
        entry = c.config.entries.get(key)
        if entry is None or entry.value is None:
            continue
        if not entry.items:
            c.note("unmapped", key, "no list of datasets")
            continue
        for item in entry.items:
            made = c.below(item)
            _dataset(made, key)
            if role:
                made.tables["role"] = role
            c.add("data", made)
        c.note("mapped", key, "data")


def _dataset(c: Conversion, key: str) -> None:
    kind = c.config.peek("ds_type")
    inside = c.config.peek("data_files")
    name = inside[0] if isinstance(inside, list) and len(inside) == 1 else inside
    if isinstance(name, str) and name.rpartition(".")[2] in {"json", "jsonl", "csv", "parquet"}:
        rows.place(c, name, "data_files", kind if isinstance(kind, str) else None)
        c.same("path", "the file is named by data_files")
    else:
        rows.place(c, str(c.config.peek("path")), "path", kind if isinstance(kind, str) else None)
        c.drop("data_files", "one file is read: write a [[data]] for each of them")
    c.same("ds_type", "told by the data source")
    rows.part(c, "split")
    _form(c, default="pretrain" if key == "pretraining_dataset" else "")
    c.same("revision", "what was saved has one")
    c.drop("name", "the part of the dataset that is to be saved")
    if c.config.peek("roles_to_train") in (["assistant"], ["gpt", "assistant"]):
        c.same("roles_to_train", "the assistant's turns are learned")
    if c.config.peek("train_on_eos") == "turn":
        c.same("train_on_eos", "each turn is learned with its end")
    chosen = ("field_chosen", "field_rejected")
    c.drop_all(chosen, "read by an objective that learns what is preferred, which a plugin brings")
    c.finish()


def _form(c: Conversion, default: str) -> None:
    """Which fields hold what: a type of axolotl is a name, with dots or colons after it."""
    given = c.config.peek("type")
    if isinstance(given, dict):
        _own_form(c, given)
        return
    kind = str(given or default)
    name = kind.partition(".")[0].partition(":")[0]
    field = c.config.peek
    if name in {"chat_template", "sharegpt"}:
        _chat(c, "conversations" if name == "sharegpt" else "messages", name == "sharegpt")
    elif name == "alpaca":
        rows.question(c, "type", ("instruction", "output"), "input")
        c.note("mapped", "type", "format")
        why = "the model's own chat template is used instead of alpaca's lines around a prompt"
        c.note("assumed", "type", why)
    elif name in {"completion", "pretrain"}:
        key = "field" if name == "completion" else "text_column"
        rows.plain(c, str(field(key) or "text"))
        c.note("mapped", key, "text")
        c.note("mapped", "type", "format")
    else:
        c.note("unmapped", "type", "no such form of rows is known: see docs/how-to/own-data.md")


def _chat(c: Conversion, messages: str, is_old: bool) -> None:
    keys = ("message_field_role", "message_field_content")
    names = dict(zip(("role", "content"), ("from", "value") if is_old else (), strict=False))
    mapping = c.config.peek("message_property_mappings")
    if isinstance(mapping, dict):
        names |= {str(key): str(value) for key, value in mapping.items()}
        c.note("mapped", "message_property_mappings", "messages")
    for key, ours in zip(keys, ("role", "content"), strict=True):
        if key in c.config:
            names[ours] = str(c.config.peek(key))
            c.note("mapped", key, "messages")
    turn = (names.get("role", "role"), names.get("content", "content"))
    roles = c.config.peek("roles")
    foreign = None
    if isinstance(roles, dict):
        foreign = {r: v for r, v in roles.items() if v != [r]} or None
        c.note("mapped", "roles", "messages")
    key = "field_messages"
    rows.conversation(c, "type", str(c.config.peek(key) or messages), turn, foreign)
    c.note("mapped", "type", "format")
    if key in c.config:
        c.note("mapped", key, "messages")
    if c.config.peek("field_tools") == "tools":
        c.same("field_tools", "the field `tools` is read")


def _own_form(c: Conversion, form: dict[str, Any]) -> None:
    prompt, answer = form.get("field_instruction"), form.get("field_output")
    more = form.get("field_input")
    fields = (str(prompt or "instruction"), str(answer or "output"))
    rows.question(c, "type", fields, str(more) if more else None)
    c.note("mapped", "type", "format")
    for key in ("system_prompt", "system_format", "field_system", "format", "no_input_format"):
        if not is_off(form.get(key) or ""):
            c.note("unmapped", "type", f"{key}: the model's own chat template is used")
