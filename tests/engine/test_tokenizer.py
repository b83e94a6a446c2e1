"""Ids against the reference (Hugging Face's tokenizers), round trips, and templates that cannot be tricked."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine.errors import ModelFolderError, TemplateError
from engine.files.model_folder import LoadedModel
from engine.text.chat_template import CHATML, ChatTemplate
from engine.text.tokenizer import byte_symbols
from engine.text.tokenizer_files import load_tokenizer
from training.data.tokenizer import tokenizer_json

TORTURE = [
    "def f(x):\n\treturn  x**2   # squared\r\n\r\n\n",
    "   leading, trailing   and      runs \t\t of  \n \n\n  space \u00a0\u3000",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 e\u0301\u0323 ﷺ",
    "我们今天去北京看长城。カタカナ ひらがな 한국어",
    "مرحبا بالعالم \u202bשלום\u202c",
    "I'll we've DON'T it's 12345.678 1,000 x=1;y='s'",
    "".join(chr(code) for code in range(256)),
    "<|im_start|>user\n<|im_end|> <|endoftext|>",
    "a" * 1000 + " " * 1000 + "\n" * 100,
    "",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary of 1,000 tokens learned from the torture text and some English."""
    import rustbpe

    from engine.text.split_patterns import QWEN2_PATTERN

    learner = rustbpe.Tokenizer()
    text = [*TORTURE, *["the dog and the other dogs went to the river, and then they're there again " * 5] * 20]
    learner.train_from_iterator(iter(text), 600, pattern=QWEN2_PATTERN)
    folder = tmp_path_factory.mktemp("tokenizer")
    ranks = {bytes(token): rank for token, rank in learner.get_mergeable_ranks()}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(ranks)))
    return folder


@pytest.mark.parametrize("text", TORTURE, ids=range(len(TORTURE)))
def test_ids_equal_the_references(trained: Path, text: str) -> None:
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(trained / "tokenizer.json"))
    ours = load_tokenizer(trained)
    plain = text.replace("<|", "< |")  # what looks like a special token is one for the reference, never for us
    assert ours.encode(plain) == theirs.encode(plain, add_special_tokens=False)
    assert ours.decode(ours.encode(text)) == text


def test_random_unicode_comes_back_as_it_was(trained: Path) -> None:
    tokenizer, numbers = load_tokenizer(trained), random.Random(0)
    for _ in range(300):
        text = "".join(chr(numbers.choice([numbers.randrange(0xD800), numbers.randrange(128)])) for _ in range(50))
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a?b", "a lone surrogate is no character"


def test_what_a_person_types_is_never_a_special_token(trained: Path) -> None:
    tokenizer = load_tokenizer(trained)
    special = set(tokenizer.special_tokens.values())
    assert not special & set(tokenizer.encode("<|im_start|><|im_end|><|endoftext|>"))
    assert tokenizer.decode([tokenizer.special("<|im_end|>")]) == ""


def test_gpt2s_own_pair_of_files_splits_as_the_reference_does(tmp_path: Path) -> None:
    data = tokenizer_json({bytes([byte]): byte for byte in range(256)})
    data["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    ours, theirs = load_tokenizer(tmp_path), PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    for text in TORTURE[:6]:
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False)


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    data = tokenizer_json({bytes([byte]): byte for byte in range(256)})
    data["model"]["type"] = "Unigram"
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ModelFolderError, match="no tokenizer that can be opened"):
        load_tokenizer(tmp_path)


def test_every_byte_has_its_own_printable_symbol() -> None:
    symbols = byte_symbols()
    assert len(set(symbols.values())) == 256
    assert all(symbol.isprintable() and not symbol.isspace() for symbol in symbols.values())
    assert symbols[ord(" ")] == "Ġ"


def test_the_mask_is_on_what_the_assistant_says_and_its_end(tiny: LoadedModel) -> None:
    chat = [
        {"role": "user", "content": "q1"},
        {"role": "assistant", "content": "r1"},
        {"role": "user", "content": "q2"},
        {"role": "assistant", "content": "r2"},
    ]
    tokens, mask = tiny.template.encode_with_mask(chat)
    end = tiny.tokenizer.special("<|im_end|>")
    spoken = [token for token, counted in zip(tokens, mask, strict=True) if counted]
    assert spoken == [*b"r1", end, *b"r2", end]


def test_the_template_equals_transformers(tiny_folder: Path, tiny: LoadedModel) -> None:
    theirs = AutoTokenizer.from_pretrained(tiny_folder)
    for chat in ([{"role": "user", "content": text}] for text in TORTURE if "<|" not in text and text):
        expected = theirs.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        assert tiny.template.encode(chat, answer=True) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception('no systems here') }}",
        "{{ undefined_function() }}",
        "{{ 1 / 0 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10**9 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ messages[0].content.__class__ }}{{ messages.__init__.__globals__ }}",
    ],
)
def test_a_template_that_misbehaves_is_a_sentence(tiny: LoadedModel, source: str) -> None:
    with pytest.raises(TemplateError, match="template"):
        ChatTemplate(tiny.tokenizer, source).encode([{"role": "user", "content": "x"}])


def test_a_template_that_is_no_jinja(tiny: LoadedModel) -> None:
    with pytest.raises(TemplateError, match="not valid"):
        ChatTemplate(tiny.tokenizer, CHATML + "{% for %}")
