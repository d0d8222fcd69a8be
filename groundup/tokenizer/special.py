"""Control tokens: ids for structure (end of document, start of turn), never for text.

A tokenizer trained here has eight, at its last ids. Then the id of every other token is its rank:
bytes are 0 to 255, merge number n is id 256 + n. The readable BPE, `tokenizers`, `tiktoken` and
llama.cpp use the same ids, and GPT-2, Llama 3 and Qwen have them last too.

`<|im_end|>` is the eos token from the start, also while a base model is pretrained on documents
separated by `<|endoftext|>`: the tokenizer stays the same through fine-tuning, and a wrong eos
after chat training (the model does not stop in other programs) would be the worse mistake. Either
token ends a generation: here through `stop_ids`, in transformers through the list in
`generation_config.json`, in llama.cpp because it counts both as end of generation. No token is
added before a text (`adds_bos` is false): `<|endoftext|>` is declared as bos only so that other
programs know which token may begin a text (llama.cpp would take id 11 instead).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from groundup.errors import FormatError

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
# Three for ChatML and five reserved, so that a later use (tools, images) needs no new row in the
# embedding.
CONTROL_TOKENS = (
    END_OF_TEXT,
    TURN_START,
    TURN_END,
    *(f"<|reserved_{number}|>" for number in range(5)),
)

# ChatML: each turn is <|im_start|>ROLE, a newline, the text, <|im_end|> and a newline; the
# generation prompt opens the assistant's turn.
CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# End-of-document tokens of the supported families; the first present one is used.
DOCUMENT_ENDS = (
    END_OF_TEXT,
    "<|end_of_text|>",
    "<eos>",
    "</s>",
)  # in Gemma "</s>" is a tag of HTML
TURN_ENDS = (TURN_END, "<|eot_id|>", "<|end|>", "<end_of_turn>")
# Tokens that end a generation in llama.cpp whatever the metadata (src/llama-vocab.cpp), as far as
# the supported families have them.
GENERATION_ENDS = (*TURN_ENDS, *DOCUMENT_ENDS, "<|eom_id|>", "<|return|>")


@dataclass(frozen=True)
class SpecialTokens:
    tokens: Mapping[str, int]
    """Every control token: text -> id."""
    bos_id: int | None
    """Begin of text, where the tokenizer has such a token."""
    eos_id: int
    """End of the model's output; for chat models the end of a turn."""
    pad_id: int | None
    """Padding of short rows; None: use eos and a mask."""
    unk_id: int | None
    """For text that can't be encoded; a byte-level tokenizer never needs it."""
    adds_bos: bool
    """Whether other programs put the bos token before every text (Llama 3: yes, ours: no)."""
    stop_ids: frozenset[int]
    """Ids after which generation ends: eos, end of turn, end of document."""
    document_end_id: int
    """Separator of documents in training data: `<|endoftext|>` where it exists, else eos."""

    @property
    def roles(self) -> dict[str, int | None]:
        """The ids by their keys in tokenizer_config.json."""
        ids = {"bos_token": self.bos_id, "eos_token": self.eos_id, "pad_token": self.pad_id}
        return {**ids, "unk_token": self.unk_id}


def our_special_tokens_config() -> dict[str, object]:
    """Return the entries of `tokenizer_config.json` for our control tokens."""
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
    """Find the roles of the control tokens `tokens`, from a `tokenizer_config.json` and, where that
    has none, from well-known names.

    `put_first`: the token, if any, that a tokenizer.json puts before a text. Raises FormatError
    when there is no end token.
    """
    document_end = next((tokens[text] for text in DOCUMENT_ENDS if text in tokens), None)
    turn_end = next((tokens[text] for text in TURN_ENDS if text in tokens), None)
    eos = _role_id(tokens, config, "eos_token", source)
    eos = next((id for id in (eos, turn_end, document_end) if id is not None), None)
    if eos is None:
        reason = "is missing: no token ends a text"
        raise FormatError(
            source, "eos_token", reason, fix="Add eos_token to tokenizer_config.json."
        )
    bos = _role_id(tokens, config, "bos_token", source)
    adds_bos = config.get("add_bos_token")
    if not isinstance(adds_bos, bool):  # the tokenizer.json decides
        adds_bos = tokens.get(put_first or "") == bos
    if document_end is None:
        document_end = eos
    return SpecialTokens(
        tokens=dict(tokens),
        bos_id=bos,
        eos_id=eos,
        pad_id=_role_id(tokens, config, "pad_token", source),
        unk_id=_role_id(tokens, config, "unk_token", source),
        adds_bos=bos is not None and adds_bos,
        stop_ids=frozenset({eos, *(tokens[text] for text in GENERATION_ENDS if text in tokens)}),
        document_end_id=document_end,
    )


def _role_id(
    tokens: Mapping[str, int], config: Mapping[str, object], key: str, source: object
) -> int | None:
    """Return the id of the control token in `config[key]`; transformers writes it as a string or as
    {"content": string}.
    """
    value = config.get(key)
    text = value.get("content") if isinstance(value, dict) else value
    if text is None:
        return None
    if not isinstance(text, str):
        raise FormatError(source, key, f"is a {type(text).__name__}, expected a string")
    if text not in tokens:
        raise FormatError(
            source, key, f"is {text[:80]!r}, which is not a control token of this tokenizer"
        )
    return tokens[text]
