"""What a codec takes and refuses: tools, begin and end tokens, templates that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import ChatCodec, Context, DataError, ModelError, ModelFolder
from llamahome_core.testing import ChatCodecContract
from llamahome_models.codec import Codec
from llamahome_models.codec import make_codec as make_from

DIALOGUE = [
    {"role": "user", "content": "What is 2 plus 2?"},
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": "And in words, é 你好?"},
    {"role": "assistant", "content": "Four 你好!\nThat is all."},
]
SYSTEM = {"role": "system", "content": "Be brief."}


def template(name: str) -> str:
    """A chat template of the folder beside this file."""
    return (Path(__file__).parent / "templates" / f"{name}.jinja").read_text(encoding="utf-8")


def answers(codec: Codec, messages: list[dict[str, Any]], **more: Any) -> list[str]:
    """The text of each assistant span."""
    chat = codec.encode(messages, **more)
    return ["".join(codec.pieces(chat.ids[a:b])) for a, b in chat.assistant_spans]


@pytest.mark.parametrize("name", ["chatml", "llama3"])
class TestContract(ChatCodecContract):
    """It keeps to what every codec keeps to, with templates of several families."""

    @pytest.fixture
    def codec(self, make_codec, name: str) -> ChatCodec:
        end = {"chatml": "<|im_end|>", "llama3": "<|eot_id|>"}[name]
        codec: ChatCodec = make_codec(template(name), eos_token=end)
        return codec


def test_tools_and_calls_are_in_the_prompt(make_codec):
    """Tools, a call without content and a tool's result are rendered, alike for both uses."""
    codec = make_codec(template("tools"))
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    call = {"function": {"name": "add", "arguments": {"a": 1}}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "1 + 1?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "2"},
        {"role": "assistant", "content": "2"},
    ]
    chat = codec.encode(messages, tools)
    text = "".join(codec.pieces(chat.ids))
    assert text.startswith('<|im_start|>tools\n[{"type": "function"')
    assert answers(codec, messages, tools=tools) == [
        '{"name": "add", "arguments": {"a": 1}}<|im_end|>',
        "2<|im_end|>",
    ]
    first = chat.assistant_spans[0][0]
    assert codec.encode(messages[:1], tools, reply=True).ids == chat.ids[:first]


def test_a_template_of_its_own_for_tools_is_used(make_codec):
    """Of several templates, tools choose the one called tool_use."""
    codec = make_codec({"default": template("chatml"), "tool_use": template("tools")})
    plain = codec.encode(DIALOGUE[:2]).ids
    with_tools = codec.encode(DIALOGUE[:2], [{"name": "add"}]).ids
    assert "tools" in "".join(codec.pieces(with_tools))
    assert "tools" not in "".join(codec.pieces(plain))


def test_there_is_one_begin_token(make_codec):
    """A template that writes the begin token, with a tokenizer that adds one, gives one."""
    codec = make_codec(template("llama3"), add_bos_token=True)
    ids = codec.encode(DIALOGUE).ids
    begin = codec.encode_text("").index(0)
    assert begin == 0
    assert ids.count(0) == 1
    assert codec.encode_text("<s>hello").count(0) == 1


def test_text_begins_and_ends_as_the_model_was_trained(make_codec):
    """The begin token only where the tokenizer adds it, the end token always, and once."""
    with_begin, without = (
        make_codec(template("chatml"), add_bos_token=True),
        make_codec(template("chatml")),
    )
    assert with_begin.encode_text("hello")[:1] == [0]
    assert with_begin.encode_text("hello")[-1:] == [1]
    assert without.encode_text("hello")[:1] != [0]
    assert without.encode_text("hello</s>").count(1) == 1
    assert 1 not in make_codec(template("chatml"), eos_token=None).encode_text("hello")


def test_white_space_at_the_end_of_an_answer_is_trained(make_codec):
    """Only what follows the end-of-turn token is left out."""
    codec = make_codec(template("chatml"))
    messages = [DIALOGUE[0], {"role": "assistant", "content": "4. \n"}]
    assert answers(codec, messages) == ["4. \n<|im_end|>"]
    assert answers(codec, [DIALOGUE[0], {"role": "assistant", "content": ""}]) == ["<|im_end|>"]


def test_a_template_that_rewrites_earlier_turns_is_refused_for_training_only(make_codec):
    """What an earlier answer was cannot be told, and the hint says how to mend it."""
    rewriting = (
        "{% for m in messages %}{% if m['role'] == 'assistant' and not loop.last %}"
        "{{ '<|im_start|>assistant\n(left out)<|im_end|>\n' }}{% else %}"
        "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    codec = make_codec(rewriting)
    with pytest.raises(DataError, match="rewrites earlier turns") as caught:
        codec.encode(DIALOGUE)
    assert "generation" in str(caught.value.hint)
    assert answers(codec, DIALOGUE[:2]) == ["It is 4.<|im_end|>"]
    assert codec.encode(DIALOGUE[:3], reply=True).assistant_spans == []


def test_a_template_without_an_end_token_is_refused_for_training_only(make_codec):
    """A model trained with it would never learn to stop; prompts can be made with it."""
    alpaca = (
        "{% for m in messages %}{{ '### ' + m['role'] + ':\n' + m['content'] + '\n\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}"
    )
    codec = make_codec(alpaca)
    with pytest.raises(DataError, match="never learn to stop"):
        codec.encode(DIALOGUE)
    assert codec.encode(DIALOGUE[:1], reply=True).ids
    assert codec.end_ids == {1}


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([SYSTEM, *DIALOGUE], "System role not supported"),
        ([{"role": "assistant", "content": "hi"}], "begins with the assistant"),
        ([{"content": "hi"}], "turn 1 is no message"),
        (["hi"], "turn 1 is no message"),
        ([{"role": "user", "content": [{"type": "image"}]}], "other than text"),
        ([{"role": "user", "content": 3}], "other than text"),
    ],
)
def test_a_conversation_that_cannot_be_rendered_is_refused(messages, says, make_codec):
    """The message says what is wrong with the conversation."""
    with pytest.raises(DataError, match=says):
        make_codec(template("gemma")).encode(messages)


def test_a_system_turn_that_is_refused_has_a_hint(make_codec):
    """The text of the system turn can go elsewhere."""
    with pytest.raises(DataError) as caught:
        make_codec(template("gemma")).encode([SYSTEM, *DIALOGUE])
    assert "first user turn" in str(caught.value.hint)


def test_tools_are_never_dropped_without_a_word(make_codec):
    """A template without a place for tools or calls refuses them."""
    codec = make_codec(template("chatml"))
    with pytest.raises(DataError, match="no place for tools"):
        codec.encode(DIALOGUE, [{"name": "add"}])
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add"}}]}
    with pytest.raises(DataError, match="no place for tool calls"):
        codec.encode([DIALOGUE[0], call])


def test_a_template_cannot_reach_python(make_codec):
    """The template is rendered in a sandbox: it comes from somebody else."""
    codec = make_codec("{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(DataError, match="refuses this conversation"):
        codec.encode(DIALOGUE, reply=True)


def test_a_model_without_a_template_only_continues_text(make_codec):
    """Conversations are refused with a hint; text is encoded."""
    codec = make_codec(None)
    assert codec.encode_text("hello")[-1] == 1
    with pytest.raises(ModelError, match="no chat template"):
        codec.encode(DIALOGUE)


def test_a_prompt_is_a_users_turn_or_the_begin_of_a_text(make_codec):
    """With a chat template and without one; a system text needs the template."""
    codec, base = make_codec(template("chatml")), make_codec(None)
    question = {"role": "user", "content": "hello"}
    assert codec.encode_prompt("hello") == codec.encode([question], reply=True).ids
    told = codec.encode_prompt("hello", system="Be brief.")
    assert told == codec.encode([SYSTEM, question], reply=True).ids
    assert [*base.encode_prompt("hello"), 1] == base.encode_text("hello")
    with pytest.raises(ModelError, match="no chat template"):
        base.encode_prompt("hello", system="Be brief.")
    with pytest.raises(DataError, match="System role not supported"):
        make_codec(template("gemma")).encode_prompt("hello", system="Be brief.")


def test_end_tokens_come_from_tokenizer_settings_and_template(make_codec, tmp_path):
    """The tokenizer's end token, those of the generation config, and the template's."""
    codec = make_codec(template("chatml"))
    assert codec.end_ids == {1, 3}
    settings = tmp_path / "model" / "generation_config.json"
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    settings.write_text('{"eos_token_id": [6, 1]}')
    assert Codec(folder).end_ids == {1, 3, 6}
    settings.write_text('{"eos_token_id": 8}')
    assert Codec(folder).end_ids == {1, 3, 8}
    settings.write_text("[]")
    with pytest.raises(ModelError, match=r"generation_config\.json cannot be read"):
        Codec(folder)


def test_decoding_gives_the_text_back(make_codec):
    """Text of any script survives; special tokens are left out, and shown as pieces."""
    codec = make_codec(template("chatml"))
    text = "  two  spaces\n\tand é 你好 🙂 "
    ids = codec.encode_text(text)
    assert codec.decode(ids) == text
    assert "".join(codec.pieces(ids)) == f"{text}</s>"
    assert len(codec.pieces(ids)) == len(ids)
    assert codec.vocab_size == max(codec._text.settings.get_vocab().values()) + 1


def test_the_digest_follows_what_decides_the_tokens(make_codec, tmp_path):
    """A template or tokenizer of another content changes it; weights do not."""
    first = make_codec(template("chatml")).digest
    assert make_codec(template("chatml")).digest == first
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    assert Codec(folder).digest == first
    assert make_codec(template("chatml") + " ").digest != first
    assert make_codec(template("chatml"), add_bos_token=True).digest != first


def test_every_template_that_is_used_is_in_the_digest(make_codec, tmp_path):
    """Also one for tools, in the folder where transformers looks for more of them."""
    first = make_codec(template("chatml"))
    more = tmp_path / "model" / "additional_chat_templates" / "tool_use.jinja"
    more.parent.mkdir()
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    digests = {first.digest}
    for source in (template("tools"), template("tools") + " "):
        more.write_text(source, encoding="utf-8")
        codec = Codec(folder)
        digests.add(codec.digest)
        assert "add" in codec.decode(codec.encode(DIALOGUE[:1], [{"name": "add"}]).ids)
    assert len(digests) == 3


DATED = "{{ strftime_now('%d %b %Y %H:%M:%S.%f') }}\n" + template("chatml")


def test_a_template_that_asks_for_the_time_is_told_one_day(make_codec, tmp_path):
    """Two prompts of a codec have the same, another day is another digest; else no day matters."""
    make_codec(DATED)
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    first, second = (Codec(folder, day=date(2026, 7, day)) for day in (1, 2))
    ids = first.encode(DIALOGUE[:1], reply=True).ids
    assert first.decode(ids).startswith("01 Jul 2026 00:00:00.000000\n")
    assert first.encode(DIALOGUE[:1], reply=True).ids == ids
    assert second.encode(DIALOGUE[:1], reply=True).ids != ids
    assert first.digest != second.digest
    make_codec(template("chatml"))
    first, second = (Codec(folder, day=date(2026, 7, day)) for day in (1, 2))
    assert first.digest == second.digest


@pytest.mark.parametrize("begin", ["", "\n", "  {% if true %}\n{% endif %}", " \n", "{# x #}\n\n"])
def test_a_template_that_asks_for_the_time_is_read_as_it_is(begin, make_codec):
    """White space at either end is that of plain transformers."""
    codec = make_codec(begin + "{{ strftime_now('') }}" + template("chatml") + "\n \n")
    expected = codec._text.settings.apply_chat_template(
        DIALOGUE[:1], tokenize=False, add_generation_prompt=True
    )
    assert "".join(codec.pieces(codec.encode(DIALOGUE[:1], reply=True).ids)) == expected


def test_a_marked_template_is_told_the_day_as_well(make_codec, tmp_path):
    """The answers that {% generation %} marks are found behind the same date."""
    make_codec("{{ strftime_now('%Y') }}\n" + template("marked"))
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    codec = Codec(folder, day=date(1999, 1, 1))
    assert codec.decode(codec.encode(DIALOGUE).ids).startswith("1999\n")


def test_a_run_goes_on_with_the_day_on_which_it_began(context: Context, make_codec, tmp_path):
    """A resume the next day has the tokens of the first; a run that begins has today's."""
    make_codec(DATED)
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    context.put(ModelFolder, folder)
    context.directory = tmp_path / "run"
    context.directory.mkdir()
    today = datetime.now(UTC).date()
    codec = make_from(context)
    assert codec.digest in {Codec(folder, day=today).digest, Codec(folder).digest}
    lines = [
        '{"time": "2026-07-01T23:59:59.999+00:00", "t": "run", "status": "started"}',
        '{"time": "2026-07-03T01:00:00.000+00:00", "t": "run", "status": "resumed"}',
    ]
    (context.directory / "events.jsonl").write_text("\n".join(lines) + "\n")
    codec = make_from(context)
    assert codec.digest == Codec(folder, day=date(2026, 7, 1)).digest
    assert codec.decode(codec.encode(DIALOGUE).ids).startswith("01 Jul 2026")


def test_a_folder_without_a_readable_tokenizer_is_refused(make_codec, tmp_path):
    """Both a missing and a damaged tokenizer.json say so."""
    make_codec(template("chatml"))
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    (folder.path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        Codec(folder)
    (folder.path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        Codec(folder)


def test_the_codec_is_made_for_the_model_that_was_fetched(context: Context, make_codec, tmp_path):
    """Without a fetched model there is no codec."""
    with pytest.raises(ModelError, match="no model was fetched"):
        context.get(ChatCodec)
    make_codec(template("chatml"))
    context.put(ModelFolder, ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny"))
    assert context.get(ChatCodec).encode(DIALOGUE).assistant_spans


def test_encoding_imports_no_torch(make_codec, tmp_path):
    """Preparing data needs transformers' tokenizers alone."""
    make_codec(template("chatml"))
    code = (
        "import sys; from pathlib import Path\n"
        "from llamahome_core import ModelFolder\n"
        "from llamahome_models.codec import Codec\n"
        "folder = ModelFolder(path=Path(sys.argv[1]), digest='', name='tiny')\n"
        "chat = Codec(folder).encode([{'role': 'user', 'content': 'a'},"
        " {'role': 'assistant', 'content': 'b'}])\n"
        "assert chat.assistant_spans and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "model")], check=True)


@pytest.mark.real
def test_the_real_tokenizer_splits_digits_as_its_model_was_trained(real_model_folder):
    """SmolLM2's rule, which transformers' own conversion loses: white space before a digit."""
    codec = Codec(ModelFolder(path=real_model_folder, digest="sha256:0", name="smollm2"))
    assert codec.pieces(codec.encode_text("a  2024")) == [
        "a", "  ", "2", "0", "2", "4", "<|im_end|>",
    ]  # fmt: skip
    assert codec.end_ids == {2}
    assert answers(codec, [SYSTEM, *DIALOGUE])[0] == "It is 4.<|im_end|>"
    assert codec.encode(DIALOGUE[:1], reply=True).ids[:3] == [1, 9690, 198]
