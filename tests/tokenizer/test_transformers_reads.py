"""A saved folder in transformers: the same ids, the same conversations; and tokenizers that transformers saves, here."""

import json
from pathlib import Path
from typing import Any

import pytest
from lazy_module import LazyModule

from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import CONFIG_FILE, Tokenizer
from groundup.tokenizer.formats import gguf_metadata, tokenizer_from_gguf

transformers = LazyModule("transformers")

CONVERSATION = Conversation(
    (
        Message("user", "Hi there"),
        Message("assistant", "Hello.\n"),
        Message("user", "  2 + 2?"),
        Message("assistant", "4"),
    )
)


def reading(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(str(folder))


@pytest.mark.parametrize(
    "config", [None, {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}]
)
def test_auto_tokenizer_gives_the_same_ids(
    tokenizer: Tokenizer,
    tmp_path: Path,
    hard_strings: tuple[str, ...],
    config: dict[str, Any] | None,
) -> None:
    tokenizer.save(tmp_path)
    if config:
        (tmp_path / "config.json").write_text(json.dumps(config))
    theirs = reading(tmp_path)
    for text in hard_strings:
        # transformers reads control tokens in every text, as our `encode_control` does in rendered prompts.
        assert theirs(text)["input_ids"] == tokenizer.encode_control(text), text[:60]
    assert len(theirs) == tokenizer.vocab_size
    special = tokenizer.special
    assert (theirs.eos_token_id, theirs.bos_token_id, theirs.pad_token_id) == (
        special.eos_id,
        special.bos_id,
        special.pad_id,
    )
    assert (
        theirs.decode(tokenizer.encode("  spaces , kept ."), clean_up_tokenization_spaces=None)
        == "  spaces , kept ."
    )


@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize("prompt", [False, True])
def test_apply_chat_template_gives_the_same_text_and_ids(
    tokenizer: Tokenizer, tmp_path: Path, system: bool, prompt: bool
) -> None:
    tokenizer.save(tmp_path)
    messages = (
        (Message("system", "Be short."), *CONVERSATION.messages)
        if system
        else CONVERSATION.messages
    )
    ours = render(Conversation(messages), tokenizer, add_generation_prompt=prompt)
    plain = [{"role": message.role, "content": message.content} for message in messages]
    theirs = reading(tmp_path)
    assert (
        theirs.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt) == ours.text
    )
    assert theirs.apply_chat_template(plain, add_generation_prompt=prompt)["input_ids"] == ours.ids


@pytest.mark.parametrize("split", ["gpt-2", "smollm", "qwen2"])
def test_a_tokenizer_from_gguf_gives_the_same_ids_there(
    tokenizer: Tokenizer, tmp_path: Path, hard_strings: tuple[str, ...], split: str
) -> None:
    read = tokenizer_from_gguf({**gguf_metadata(tokenizer), "tokenizer.ggml.pre": split})
    read.save(tmp_path)
    theirs = reading(tmp_path)
    assert [theirs(text)["input_ids"] for text in hard_strings] == [
        read.encode_control(text) for text in hard_strings
    ]


def test_a_bos_is_put_first_there_too(tokenizer: Tokenizer, tmp_path: Path) -> None:
    adding = tokenizer_from_gguf({**gguf_metadata(tokenizer), "tokenizer.ggml.add_bos_token": True})
    adding.save(tmp_path)
    assert reading(tmp_path)("Hi")["input_ids"] == adding.with_bos(adding.encode("Hi"))


@pytest.mark.parametrize(
    ("kind", "split"),
    [("GPT2Tokenizer", "gpt-2"), ("Qwen2Tokenizer", "qwen2")],
)
def test_what_transformers_saves_is_read_here(
    tokenizer: Tokenizer, tmp_path: Path, hard_strings: tuple[str, ...], kind: str, split: str
) -> None:
    table = tokenizer.table
    made = getattr(transformers, kind)(
        vocab=dict(table.vocabulary), merges=[tuple(merge) for merge in table.merges]
    )
    made.chat_template = "{{ messages[0].content }}"
    made.save_pretrained(str(tmp_path))
    ours = Tokenizer.load(tmp_path)
    assert ours.pre == split
    assert ours.chat_template == "{{ messages[0].content }}"
    assert "<|endoftext|>" in ours.special.tokens
    assert json.loads((tmp_path / CONFIG_FILE).read_text())["eos_token"] == "<|endoftext|>"
    for text in hard_strings:
        if not any(token in text for token in made.get_added_vocab()):
            assert ours.encode(text) == made(text)["input_ids"], text[:60]
