"""Control tokens: the ids that stand for structure (a document ends, a turn begins), never for text.

A tokenizer of ours has eight, at its last ids. Last, because then the id of every other token is its rank: bytes are 0 to 255, merge
number n is id 256 + n. The readable BPE, `tokenizers`, `tiktoken` and llama.cpp then all speak of the same number without a shift,
and the file looks like those of GPT-2, Llama 3 and Qwen, whose control tokens stand last too.

`<|im_end|>` is the eos token from the start, also while a base model is pretrained on documents parted by `<|endoftext|>`: one tokenizer serves the
model's whole life, and a wrong eos after chat training (the model rambles on in other programs) is the worst of the mistakes to choose from.
Either token ends a generation: here through `stop_ids`, in transformers through the list in `generation_config.json`, in
llama.cpp because it counts both texts as ends of generation. No token is added before a text (`adds_bos` is false): `<|endoftext|>` is named
as bos only so that other programs know which token may begin a text (llama.cpp would take id 11 instead).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from groundup.errors import FormatError

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
# Three for ChatML and five kept free, so that a later use (tools, images) needs no new row in the embedding.
CONTROL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END, *(f"<|reserved_{number}|>" for number in range(5)))

# ChatML: each turn is <|im_start|>ROLE, a newline, the text, <|im_end|> and a newline; the generation prompt opens the assistant's turn.
CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# Texts that end a document in the families we read, the first present one is taken.
DOCUMENT_ENDS = (END_OF_TEXT, "<|end_of_text|>", "<eos>", "</s>")  # in Gemma "</s>" is a tag of HTML
# Texts after which llama.cpp ends a generation whatever the metadata say (src/llama-vocab.cpp), as far as our families use them.
GENERATION_ENDS = (
    TURN_END,
    END_OF_TEXT,
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|return|>",
    "<end_of_turn>",
    "</s>",
    "<eos>",
)
TURN_ENDS = (TURN_END, "<|eot_id|>", "<|end|>", "<end_of_turn>")


@dataclass(frozen=True)
class SpecialTokens:
    """The control tokens of one tokenizer and their parts."""

    tokens: Mapping[str, int]
    """Every control token: text -> id."""
    bos_id: int | None
    """Begins a text, where the tokenizer has such a token."""
    eos_id: int
    """Ends the model's output; for chat models the end of a turn."""
    pad_id: int | None
    """Fills short rows of a batch; None: use eos and a mask."""
    unk_id: int | None
    """Stands for what can't be encoded; a byte-level tokenizer never needs it."""
    adds_bos: bool
    """Whether other programs put the bos token before every text (Llama 3: yes, ours: no)."""
    stop_ids: frozenset[int]
    """Ids after which generation ends: eos, end of turn, end of document."""
    document_end_id: int
    """Parts documents in training data: `<|endoftext|>` where it exists, else eos."""


def our_special_tokens_config() -> dict[str, object]:
    """The part of `tokenizer_config.json` that names our control tokens."""
    return {
        "bos_token": END_OF_TEXT,
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "unk_token": None,
        "add_bos_token": False,
    }


def find_special_tokens(
    tokens: Mapping[str, int], config: Mapping[str, object], put_first: str | None, source: object
) -> SpecialTokens:
    """Give the control tokens `tokens` their parts, from a `tokenizer_config.json` and, where that is silent, from well-known texts.

    `put_first`: the token, if any, that a tokenizer.json puts before a text. Raises FormatError when nothing can end a text.
    """
    document_end = next((tokens[text] for text in DOCUMENT_ENDS if text in tokens), None)
    turn_end = next((tokens[text] for text in TURN_ENDS if text in tokens), None)
    eos = _named(tokens, config, "eos_token", source)
    eos = next((id for id in (eos, turn_end, document_end) if id is not None), None)
    if eos is None:
        raise FormatError(
            source, "eos_token", "no token is named that ends a text", fix="Add eos_token to tokenizer_config.json."
        )
    bos = _named(tokens, config, "bos_token", source)
    said = config.get("add_bos_token")  # decides where it is there, else what the tokenizer.json does
    return SpecialTokens(
        tokens=dict(tokens),
        bos_id=bos,
        eos_id=eos,
        pad_id=_named(tokens, config, "pad_token", source),
        unk_id=_named(tokens, config, "unk_token", source),
        adds_bos=bos is not None and (said if isinstance(said, bool) else tokens.get(put_first or "") == bos),
        stop_ids=frozenset({eos, *(tokens[text] for text in GENERATION_ENDS if text in tokens)}),
        document_end_id=eos if document_end is None else document_end,
    )


def _named(tokens: Mapping[str, int], config: Mapping[str, object], key: str, source: object) -> int | None:
    """The id of the control token that `config[key]` names; transformers writes it as text or as {"content": text}."""
    value = config.get(key)
    text = value.get("content") if isinstance(value, dict) else value
    if text is None:
        return None
    if not isinstance(text, str):
        raise FormatError(source, key, f"is a {type(text).__name__}, a text is expected")
    if text not in tokens:
        raise FormatError(source, key, f"names {text[:80]!r}, which is not a control token of this tokenizer")
    return tokens[text]
