"""What each part does that others of its kind do not."""

from __future__ import annotations

import os
import zipfile

import pytest
import torch
from attrs import evolve

from llamahome_core import DataError, Dropped, Example, IntegrityError, MonitorContext, Row
from llamahome_hello.config import (
    AtticConfig,
    DiaryConfig,
    LionConfig,
    PhrasebookConfig,
    PoliteConfig,
    SmoothConfig,
)
from llamahome_hello.monitor import Diary
from llamahome_hello.objective import Smooth
from llamahome_hello.optimizer import Lion
from llamahome_hello.source import Phrasebook
from llamahome_hello.store import Attic
from llamahome_hello.transform import Polite


class Recorder:
    """Keeps the events that are emitted."""

    def __init__(self):
        self.events = []

    def emit(self, kind, **fields):
        """Keep one."""
        self.events.append((kind, fields))


def test_a_phrasebook_tells_how_much_was_read(phrases, context):
    """By an event of the plugin's own namespace."""
    path, recorder = phrases("How are you? = Well.\n\n# no\nA = B = C\n"), Recorder()
    source = Phrasebook(PhrasebookConfig(path=path), evolve(context, events=recorder))

    rows = list(source.rows())

    assert [row.number for row in rows] == [1, 4]
    assert rows[1].value == {"prompt": "A", "completion": "B = C"}
    assert recorder.events == [("hello.phrases", {"source": str(path), "phrases": 2})]


def test_a_line_that_is_no_phrase_is_named(phrases, context):
    """With the file, the number of the line, and how to write it."""
    source = Phrasebook(PhrasebookConfig(path=phrases("a = b\nc: d\n")), context)

    with pytest.raises(DataError, match=r"phrases\.txt:2: no '=' in this line") as caught:
        list(source.rows())
    assert caught.value.hint == "write: question = answer"


def chat(answer):
    """A conversation of two turns."""
    turns = (("user", "How?"), ("assistant", answer))
    return Example(messages=tuple({"role": role, "content": text} for role, text in turns))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (chat("Well."), chat("Good day. Well.")),
        (chat("Good day. Well."), chat("Good day. Well.")),
        (chat("WELL!"), Dropped("shouting")),
        (Example(text="WELL!"), Example(text="WELL!")),
    ],
)
def test_answers_become_polite(given, found, context):
    """Once; what shouts cannot."""
    polite = Polite(PoliteConfig(greeting="Good day. "), context)

    assert polite.apply(given, Row(value={}, source="a", number=1)) == found


def test_smoothing_makes_sureness_dear(context):
    """Without it, it is plain cross-entropy."""
    logits, targets = torch.tensor([[20.0, 0.0, 0.0]]), torch.tensor([0])
    plain, smooth = (Smooth(SmoothConfig(smoothing=s), context) for s in (0.0, 0.3))

    assert float(plain.loss(logits, targets)) == pytest.approx(0.0, abs=1e-6)
    assert float(smooth.loss(logits, targets)) == pytest.approx(0.3 * 20 * 2 / 3, rel=1e-4)


def test_lion_steps_by_the_sign(context):
    """Whatever the gradient's size: by the rate, and a share of the weight itself."""
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))
    config = LionConfig(learning_rate=0.1, weight_decay=0.5)
    optimizer = Lion(config, context).build([("weight", weight)])
    weight.grad = torch.tensor([1e-9, -1e9, 0.0])

    optimizer.step()

    torch.testing.assert_close(weight.detach(), torch.tensor([0.85, 1.05, 0.95]))


def test_an_archive_is_smaller_and_damage_of_it_is_told(context, tmp_path):
    """What was unpacked before stays good; what is damaged is never unpacked."""
    store, folder = Attic(AtticConfig(level=9), context), tmp_path / "folder"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(100_000))
    os.utime(folder / "model.safetensors", (0, 0))  # zip knows no year before 1980
    store.put("bot/v1", folder)
    (archive,) = store.root.glob("*/content.zip")

    assert archive.stat().st_size < 1000
    assert zipfile.ZipFile(archive).namelist() == ["model.safetensors"]
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match=r"content\.zip"):
        store.get("bot/v1")


def test_the_diary_tells_the_story(tmp_path):
    """In order; what a model says can do nothing to a terminal."""
    diary = Diary(DiaryConfig(), MonitorContext(directory=tmp_path))
    diary.handle({"t": "run", "name": "a-1", "status": "started", "time": "now", "model": "m"})
    diary.handle({"t": "hello.phrases", "phrases": 3, "source": "a.txt"})
    diary.handle({"t": "train", "step": 1})
    diary.handle({"t": "sample", "step": 2, "prompt": "{x}", "answer": "\x1b[2JHello"})

    assert (tmp_path / "diary.md").read_text(encoding="utf-8").splitlines() == [
        "# a-1",
        "",
        "It started at now, from m.",
        "",
        "- 3 phrases were read from a.txt.",
        "- Asked “{x}” after step 2, it says: Hello",
    ]


def test_the_command_answers_from_its_settings(kernel, run_cli, phrases):
    """The table `[command.hello]`; without it, and for what nobody asked, it says what to do."""
    hello = kernel("hello")
    without = run_cli("hello", "How are you?", over=hello)
    path = phrases("How are you? : Well.\n")
    (hello.workspace.config / "llamahome.toml").write_text(
        f'[command.hello]\nbook = "{path}"\nseparator = ":"\n', encoding="utf-8"
    )

    assert (without.code, "command.hello.book" in without.err) == (2, True)
    assert run_cli("hello", "How are you?", over=hello).out == "Well.\n"
    unknown = run_cli("hello", "How is you?", over=hello)
    assert (unknown.code, "did you mean 'How are you?'" in unknown.err) == (4, True)


def test_a_wrong_setting_of_the_command_is_shown_with_its_place(kernel, run_cli):
    """As strict as a recipe."""
    hello = kernel("hello")
    path = hello.workspace.config / "llamahome.toml"
    path.write_text('[command.hello]\nbok = "a"\n', encoding="utf-8")

    result = run_cli("hello", "How?", over=hello)

    assert result.code == 2
    assert "did you mean `book`?" in result.err
    assert "llamahome.toml:2:1" in result.err
