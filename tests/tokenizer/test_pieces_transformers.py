"""SentencePiece vocabularies in transformers: the same ids from what we save, and from what transformers saves."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from lazy_module import LazyModule

from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.sentencepiece import SentencePiece

transformers = LazyModule("transformers")

FORMS = (
    SentencePiece("always"),
    SentencePiece("never"),
    SentencePiece("first", metaspace=True),
    SentencePiece("always", metaspace=True),
)


@pytest.fixture(params=FORMS, ids=str)
def ours(request: pytest.FixtureRequest, pieces: Tokenizer) -> Tokenizer:
    """The vocabulary in each form, its role tokens taking the spaces after them as Phi-3's do."""
    added = {
        id: each._replace(takes_spaces=each.text.startswith("<|"))
        for id, each in pieces.table.added.items()
    }
    return Tokenizer(
        dataclasses.replace(pieces.table, style=request.param, added=added), pieces.config()
    )


def reading(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(str(folder))


def test_auto_tokenizer_gives_the_same_ids_and_texts(
    ours: Tokenizer, tmp_path: Path, piece_strings: tuple[str, ...]
) -> None:
    ours.save(tmp_path)
    theirs = reading(tmp_path)
    for text in piece_strings:
        ids = ours.with_bos(ours.encode_control(text))
        assert theirs(text)["input_ids"] == ids, text[:60]
        assert theirs.decode(ids) == ours.decode(ids), text[:60]
        assert theirs.decode(ids, skip_special_tokens=True) == ours.decode(
            ids, skip_control=True
        ), text[:60]
    assert len(theirs) == ours.vocab_size


def test_a_conversation_has_the_same_text_and_ids(ours: Tokenizer, tmp_path: Path) -> None:
    ours.save(tmp_path)
    messages = (
        Message("user", "  the  reader"),
        Message("assistant", "Yes?\n\nNo. "),
        Message("user", "2+2"),
    )
    rendered = render(Conversation(messages), ours, add_generation_prompt=True)
    plain = [{"role": message.role, "content": message.content} for message in messages]
    theirs = reading(tmp_path)
    text = theirs.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    assert text == rendered.text
    assert theirs(text)["input_ids"] == rendered.ids


@pytest.mark.parametrize(
    ("kind", "settings", "style"),
    [
        (transformers.LlamaTokenizer, {"legacy": True}, SentencePiece("always", metaspace=True)),
        (transformers.LlamaTokenizer, {"legacy": False}, SentencePiece("first", metaspace=True)),
        (
            transformers.LlamaTokenizer,
            {"add_prefix_space": False},
            SentencePiece("never", metaspace=True),
        ),
        (
            transformers.GemmaTokenizer,
            {"bos_token": "<s>", "eos_token": "</s>"},
            SentencePiece("never"),
        ),
    ],
    ids=["legacy", "first", "no prefix", "gemma"],
)
def test_what_transformers_saves_is_read_here(
    pieces: Tokenizer,
    tmp_path: Path,
    piece_strings: tuple[str, ...],
    kind: Any,
    settings: dict[str, Any],
    style: SentencePiece,
) -> None:
    vocabulary = dict(pieces.table.vocabulary)
    made = kind(
        vocab=vocabulary, merges=[tuple(merge) for merge in pieces.table.merges], **settings
    )
    made.save_pretrained(str(tmp_path))
    read = Tokenizer.load(tmp_path)
    assert read.table.style == style
    for text in (
        piece_strings
    ):  # not asked of what AutoTokenizer opens: it takes the form from its class, not from the file
        assert made(text)["input_ids"] == read.with_bos(read.encode_control(text)), text[:60]
