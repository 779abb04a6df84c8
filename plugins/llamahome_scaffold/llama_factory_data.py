"""The datasets of a configuration of LLaMA-Factory, and its dataset_info.json."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from llamahome_scaffold import rows
from llamahome_scaffold.conversion import Conversion, as_number
from llamahome_scaffold.foreign import LARGEST


def read_data(c: Conversion) -> None:
    """Each dataset of the file as a ``[[data]]``."""
    info = _dataset_info(c)
    for key, role in (("dataset", ""), ("eval_dataset", "evaluate")):
        given = c.config.peek(key)
        names = given if isinstance(given, list) else str(given or "").split(",")
        for name in (str(n).strip() for n in names):
            if not name:
                continue
            made = c.below(c.config)
            _dataset(made, key, name, info)
            if role:
                made.tables["role"] = role
            if "max_samples" in c.config:
                rows.first(made, "max_samples")
            c.add("data", made)


def _dataset_info(c: Conversion) -> tuple[dict[str, Any], Path] | None:
    """What dataset_info.json says, and its folder.

    It is looked for from here, and from the folder of the file and those above it.
    """
    folder = c.config.peek("dataset_dir") or "data"
    if not isinstance(folder, str):
        return None
    start = c.config.path.absolute().parent
    for place in (Path.cwd(), start, *start.parents):
        path = place / folder / "dataset_info.json"
        try:
            if path.is_file() and path.stat().st_size <= LARGEST:
                found = json.loads(path.read_text(encoding="utf-8"))
                return (found, path.parent) if isinstance(found, dict) else None
        except (OSError, ValueError):
            continue
    return None


def _dataset(c: Conversion, key: str, name: str, info: tuple[dict[str, Any], Path] | None) -> None:
    known, folder = info or ({}, Path("data"))
    about = known.get(name)
    if not isinstance(about, dict):
        c.tables["use"] = "jsonl"
        c.assume("path", f"data/{name}.jsonl", f"{name} is in no dataset_info.json here", key)
        c.note("unmapped", key, f"where {name} lies and which fields it has: see own-data.md")
        return
    hub = about.get("hf_hub_url") or about.get("ms_hub_url") or about.get("om_hub_url")
    file = about.get("file_name")
    if not (hub or file):
        c.note("unmapped", key, f"{name}: it names neither a file nor a dataset of a hub")
    rows.place(c, str(hub) if hub else f"./{os.path.relpath(folder / str(file))}", key)
    _form(c, key, name, about)
    if limit := as_number(about.get("num_samples")):
        why = f"{name}: num_samples: the first rows are taken here, and a random choice there"
        c.assume("limit", int(limit), why, key)
    for more in ("subset", "split", "folder"):
        if about.get(more):
            c.note("unmapped", key, f"{name}: {more} = {about[more]}: which rows are to be saved")


def _form(c: Conversion, key: str, name: str, about: dict[str, Any]) -> None:
    """Which fields hold what."""
    columns, tags = (about.get(part) or {} for part in ("columns", "tags"))
    form = about.get("formatting", "alpaca")
    if c.config.peek("stage") == "pt":
        rows.plain(c, str(columns.get("prompt", "instruction" if not columns else "text")))
    elif form == "alpaca":
        fields = (columns.get("prompt", "instruction"), columns.get("response", "output"))
        more = columns.get("query") if columns else "input"
        rows.question(c, key, (str(fields[0]), str(fields[1])), more)
    else:
        turn = ("role", "content") if form == "openai" else ("from", "value")
        turn = (tags.get("role_tag", turn[0]), tags.get("content_tag", turn[1]))
        usual = {"user": "human", "assistant": "gpt"} if form == "sharegpt" else {}
        who = {r: tags.get(f"{r}_tag", usual.get(r, r)) for r in ("user", "assistant")}
        foreign = {r: tag for r, tag in who.items() if tag != r} or None
        messages = columns.get("messages", "conversations" if form == "sharegpt" else "messages")
        rows.conversation(c, key, str(messages), turn, foreign)
    for more in ("system", "history", "tools", "images", "videos", "audios", "chosen", "rejected"):
        if columns.get(more) and not (more == "tools" and columns[more] == "tools"):
            c.note("unmapped", key, f"{name}: the column {columns[more]!r} ({more}) is not read")
