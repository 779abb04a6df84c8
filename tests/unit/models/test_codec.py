"""Conversations become the tokens, and the answers the spans, that the template means."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamahome_core import Context, DataError, ModelError, ModelFolder
from llamahome_models.codec import Codec, make_codec

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TOOLS = (
    "{% if tools %}{{ '<|im_start|>tools\n' }}{{ tools | tojson }}{{ '<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}"
    "{{ m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim"
    " + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + eos_token }}"
    "{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n'"
    " + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MARKED = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] + '<|im_end|>\n' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHORT_MARK = MARKED.replace(
    "{{ m['content'] + '<|im_end|>\n' }}{% endgeneration %}",
    "{{ m['content'] }}{% endgeneration %}{{ '<|im_end|>\n' }}",
)
FAMILIES = {
    "chatml": (CHATML, "<|im_end|>"),
    "tools": (TOOLS, "<|im_end|>"),
    "llama3": (LLAMA3, "<|eot_id|>"),
    "mistral": (MISTRAL, "</s>"),
    "gemma": (GEMMA, "<end_of_turn>"),
    "marked": (MARKED, "<|im_end|>"),
    "short mark": (SHORT_MARK, "<|im_end|>"),
}
SPECIAL = [
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
]  # fmt: skip
DIALOGUE = [
    {"role": "user", "content": "What is 2 plus 2?"},
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": "And in words, é 你好?"},
    {"role": "assistant", "content": "Four 你好!\nThat is all."},
]
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A byte-level BPE tokenizer that merges new lines and the words of the dialogue."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [m["content"] for m in DIALOGUE] + ["user assistant model system\n\n\n"] * 9
    made.train_from_iterator([*texts, "a\n\n", "  b"] * 20, trainer)
    return made


@pytest.fixture
def make(tmp_path: Path, tokenizer: Any) -> Callable[..., Codec]:
    """Make a codec with a template; other arguments are settings of the tokenizer."""

    def build(template: str | dict[str, str] | None, **settings: Any) -> Codec:
        from transformers import PreTrainedTokenizerFast

        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        fields = {"bos_token": "<s>", "eos_token": "</s>"} | settings
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **fields)
        fast.chat_template = template
        fast.save_pretrained(folder)
        return Codec(ModelFolder(path=folder, digest="sha256:0", name="tiny"))

    return build


@pytest.fixture
def codecs(make) -> Callable[[str], Codec]:
    """A codec for each family, made once in a test."""
    return cache(lambda family: make(FAMILIES[family][0]))


def answers(codec: Codec, messages: list[dict[str, Any]], **more: Any) -> list[str]:
    """The text of each assistant span."""
    chat = codec.encode(messages, **more)
    return ["".join(codec.pieces(chat.ids[a:b])) for a, b in chat.assistant_spans]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_answer_is_marked_with_its_end_token_and_nothing_else(family, make):
    """The decoded spans are the answers and their end-of-turn token, for each family."""
    template, end = FAMILIES[family]
    codec = make(template)
    space = " " if family == "mistral" else ""
    expected = [space + m["content"] + end for m in DIALOGUE if m["role"] == "assistant"]
    assert answers(codec, DIALOGUE) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_is_the_same_in_training_and_in_serving(family, make):
    """The ids before each answer are those of encoding the turns before it for a reply."""
    codec = make(FAMILIES[family][0])
    dialogues = [DIALOGUE] if family in {"gemma", "mistral"} else [DIALOGUE, [SYSTEM, *DIALOGUE]]
    for messages in dialogues:
        chat = codec.encode(messages)
        turns = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
        assert len(turns) == len(chat.assistant_spans)
        for turn, (start, _) in zip(turns, chat.assistant_spans, strict=True):
            assert codec.encode(messages[:turn], reply=True).ids == chat.ids[:start]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ids_are_those_of_plain_transformers(family, make, tmp_path):
    """Encoding equals AutoTokenizer's apply_chat_template, so other programs serve alike."""
    from transformers import AutoTokenizer

    codec = make(FAMILIES[family][0])
    plain = AutoTokenizer.from_pretrained(tmp_path / "model")
    cases = [(True, DIALOGUE[:1]), (False, DIALOGUE), (True, DIALOGUE[:3])]
    # GPT-2's rule splits the two newlines before an answer otherwise in one go (see codec.py)
    for reply, messages in cases[: 1 if family == "llama3" else 3]:
        expected = plain.apply_chat_template(messages, add_generation_prompt=reply)["input_ids"]
        assert codec.encode(messages, reply=reply).ids == expected


def test_tools_and_calls_are_in_the_prompt(make):
    """Tools, a call without content and a tool's result are rendered, alike for both uses."""
    codec = make(TOOLS)
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


def test_a_template_of_its_own_for_tools_is_used(make):
    """Of several templates, tools choose the one called tool_use."""
    codec = make({"default": CHATML, "tool_use": TOOLS})
    plain = codec.encode(DIALOGUE[:2]).ids
    with_tools = codec.encode(DIALOGUE[:2], [{"name": "add"}]).ids
    assert "tools" in "".join(codec.pieces(with_tools))
    assert "tools" not in "".join(codec.pieces(plain))


def test_there_is_one_begin_token(make):
    """A template that writes the begin token, with a tokenizer that adds one, gives one."""
    codec = make(LLAMA3, add_bos_token=True)
    ids = codec.encode(DIALOGUE).ids
    begin = codec.encode_text("").index(0)
    assert begin == 0
    assert ids.count(0) == 1
    assert codec.encode_text("<s>hello").count(0) == 1


def test_text_begins_and_ends_as_the_model_was_trained(make):
    """The begin token only where the tokenizer adds it, the end token always, and once."""
    with_begin, without = make(CHATML, add_bos_token=True), make(CHATML)
    assert with_begin.encode_text("hello")[:1] == [0]
    assert with_begin.encode_text("hello")[-1:] == [1]
    assert without.encode_text("hello")[:1] != [0]
    assert without.encode_text("hello</s>").count(1) == 1
    assert 1 not in make(CHATML, eos_token=None).encode_text("hello")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.text(max_size=20), question=st.text(max_size=8))
@pytest.mark.parametrize("family", ["chatml", "llama3", "short mark"])
def test_whatever_is_said_the_prompt_stays_the_same(family, answer, question, codecs):
    """No text of question or answer makes the tokens before an answer depend on it."""
    codec = codecs(family)
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
        *DIALOGUE[:2],
    ]
    chat = codec.encode(messages)
    starts = [start for start, _ in chat.assistant_spans]
    assert codec.encode(messages[:1], reply=True).ids == chat.ids[: starts[0]]
    assert codec.encode(messages[:3], reply=True).ids == chat.ids[: starts[-1]]


def test_white_space_does_not_merge_across_the_opening_of_an_answer(make, tokenizer):
    """Tokenised in one go, the two newlines would be one token that no answer can begin with."""
    codec = make(CHATML)
    assert len(tokenizer.encode("\n\n").ids) == 1
    messages = [DIALOGUE[0], {"role": "assistant", "content": "\n4."}]
    assert answers(codec, messages) == ["\n4.<|im_end|>"]


def test_a_token_across_the_opening_belongs_to_the_prompt(tmp_path):
    """Where the text cannot be cut, what straddles the opening is not trained."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [*"\u2581:?abhkostwy", ":\u2581", ":\u2581o"]
    vocabulary = {token: at for at, token in enumerate(letters)}
    merges = [(":", "\u2581"), (":\u2581", "o")]
    sentence = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    sentence.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    sentence.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=sentence, eos_token="</s>")  # noqa: S106
    fast.chat_template = (
        "{% for m in messages %}{{ 'ask:' if m.role == 'user' else 'say:' }}{{ m.content }}"
        "{{ eos_token if m.role == 'assistant' else ' ' }}{% endfor %}"
        "{{ 'say:' if add_generation_prompt }}"
    )
    fast.save_pretrained(tmp_path / "model")
    codec = Codec(ModelFolder(path=tmp_path / "model", digest="sha256:0", name="sp"))
    messages = [{"role": "user", "content": "what?"}, {"role": "assistant", "content": " ok"}]
    chat = codec.encode(messages)
    ((start, end),) = chat.assistant_spans
    assert fast.convert_ids_to_tokens(chat.ids[start - 1 : end]) == [":\u2581o", "k", "</s>"]


def test_white_space_at_the_end_of_an_answer_is_trained(make):
    """Only what follows the end-of-turn token is left out."""
    codec = make(CHATML)
    messages = [DIALOGUE[0], {"role": "assistant", "content": "4. \n"}]
    assert answers(codec, messages) == ["4. \n<|im_end|>"]
    assert answers(codec, [DIALOGUE[0], {"role": "assistant", "content": ""}]) == ["<|im_end|>"]


def test_a_template_that_rewrites_earlier_turns_is_refused_for_training_only(make):
    """What an earlier answer was cannot be told, and the hint says how to mend it."""
    rewriting = (
        "{% for m in messages %}{% if m['role'] == 'assistant' and not loop.last %}"
        "{{ '<|im_start|>assistant\n(left out)<|im_end|>\n' }}{% else %}"
        "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    codec = make(rewriting)
    with pytest.raises(DataError, match="rewrites earlier turns") as caught:
        codec.encode(DIALOGUE)
    assert "generation" in str(caught.value.hint)
    assert answers(codec, DIALOGUE[:2]) == ["It is 4.<|im_end|>"]
    assert codec.encode(DIALOGUE[:3], reply=True).assistant_spans == []


def test_a_template_without_an_end_token_is_refused_for_training_only(make):
    """A model trained with it would never learn to stop; prompts can be made with it."""
    alpaca = (
        "{% for m in messages %}{{ '### ' + m['role'] + ':\n' + m['content'] + '\n\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}"
    )
    codec = make(alpaca)
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
def test_a_conversation_that_cannot_be_rendered_is_refused(messages, says, make):
    """The message says what is wrong with the conversation."""
    with pytest.raises(DataError, match=says):
        make(GEMMA).encode(messages)


def test_a_system_turn_that_is_refused_has_a_hint(make):
    """The text of the system turn can go elsewhere."""
    with pytest.raises(DataError) as caught:
        make(GEMMA).encode([SYSTEM, *DIALOGUE])
    assert "first user turn" in str(caught.value.hint)


def test_tools_are_never_dropped_without_a_word(make):
    """A template without a place for tools or calls refuses them."""
    codec = make(CHATML)
    with pytest.raises(DataError, match="no place for tools"):
        codec.encode(DIALOGUE, [{"name": "add"}])
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add"}}]}
    with pytest.raises(DataError, match="no place for tool calls"):
        codec.encode([DIALOGUE[0], call])


def test_a_template_cannot_reach_python(make):
    """The template is rendered in a sandbox: it comes from somebody else."""
    codec = make("{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(DataError, match="refuses this conversation"):
        codec.encode(DIALOGUE, reply=True)


def test_a_model_without_a_template_only_continues_text(make):
    """Conversations are refused with a hint; text is encoded."""
    codec = make(None)
    assert not codec.has_template
    assert codec.encode_text("hello")[-1] == 1
    with pytest.raises(ModelError, match="no chat template"):
        codec.encode(DIALOGUE)


def test_end_tokens_come_from_tokenizer_settings_and_template(make, tmp_path):
    """The tokenizer's end token, those of the generation config, and the template's."""
    codec = make(CHATML)
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


def test_decoding_gives_the_text_back(make):
    """Text of any script survives; special tokens are left out, and shown as pieces."""
    codec = make(CHATML)
    text = "  two  spaces\n\tand é 你好 🙂 "
    ids = codec.encode_text(text)
    assert codec.decode(ids) == text
    assert "".join(codec.pieces(ids)) == f"{text}</s>"
    assert len(codec.pieces(ids)) == len(ids)
    assert codec.vocab_size == max(codec._tokenizer.get_vocab().values()) + 1


def test_the_digest_follows_what_decides_the_tokens(make, tmp_path):
    """A template or tokenizer of another content changes it; weights do not."""
    first = make(CHATML).digest
    assert make(CHATML).digest == first
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    assert Codec(folder).digest == first
    assert make(CHATML + " ").digest != first
    assert make(CHATML, add_bos_token=True).digest != first


def test_a_folder_without_a_readable_tokenizer_is_refused(make, tmp_path):
    """Both a missing and a damaged tokenizer.json say so."""
    make(CHATML)
    folder = ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny")
    (folder.path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        Codec(folder)
    (folder.path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        Codec(folder)


def test_the_codec_is_made_for_the_model_that_was_fetched(context: Context, make, tmp_path):
    """Without a fetched model there is no codec."""
    with pytest.raises(ModelError, match="no model was fetched"):
        make_codec(context)
    make(CHATML)
    context.put(ModelFolder, ModelFolder(path=tmp_path / "model", digest="sha256:0", name="tiny"))
    assert make_codec(context).encode(DIALOGUE).assistant_spans


def test_encoding_imports_no_torch(make, tmp_path):
    """Preparing data needs transformers' tokenizers alone."""
    make(CHATML)
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
