r"""Byte-level BPE: the pre-tokenizer and the byte alphabet of GPT-2, Llama 3, Qwen, SmolLM and our
own vocabularies.

The pre-tokenizer splits a text into pieces; merges never cross the edge of a piece. Each split has
the name that llama.cpp uses (`tokenizer.ggml.pre` in a GGUF file) and is one or more regular
expressions, applied in order: every match becomes a piece, and so does the text between matches;
the next expression splits each piece further. Two more are those of tiktoken's encodings. Then each
byte is written as one visible character (GPT-2's alphabet), so that a vocabulary is plain text: a
space is "Ġ", a newline "Ċ".

Tokenizers trained here use "llama-bpe", the expression of Llama 3: llama.cpp knows it by name and
Ollama's importer by the hash of the expression, so the ids are the same everywhere. Ollama takes
GPT-2's own form for "default", which splits a fifth of all lines differently.

Sources: the `tokenizer.json` files of GPT-2, Llama 3, Qwen 2 and SmolLM 2;
tiktoken_ext/openai_public.py; "default" is what src/llama-vocab.cpp does with an unknown name. Left
out: normalisation other than NFC (Qwen's files have NFC, llama.cpp does none), expressions that are
not in `SPLITS`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from groundup.errors import FormatError

if TYPE_CHECKING:
    import regex

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # English contractions
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word, with one space or sign before it
    r"|\p{N}{1,3}"  # digits in threes
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation, with a space before and line ends after it
    r"|\s*[\r\n]+"  # line ends
    r"|\s+(?!\S)"  # spaces up to the last one, which goes to the next word
    r"|\s+"
)
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ONE_DIGIT = r"\p{N}"
# cl100k_base (GPT-4): as Llama 3's, but spaces and line ends at the end of a text are one piece.
# The library's `$` is the end of a line, too.
CL100K_SPLIT = LLAMA3_SPLIT.replace(r"|\s*[\r\n]+", r"|\s+(?![\s\S])|\s*[\r\n]+")
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K_SPLIT = (
    # a word, to the next capital
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    + _CONTRACTION
    + r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    + _CONTRACTION
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Longer than any word, ruler or indentation; the longest piece of a text is then twice as long
# (signs, then line ends).
MAX_TRAINED_RUN = 256

LLAMACPP_SPLITS: Mapping[str, tuple[str, ...]] = {
    "llama-bpe": (LLAMA3_SPLIT,),
    "gpt-2": (GPT2_SPLIT,),
    "smollm": (ONE_DIGIT, GPT2_SPLIT),
    "qwen2": (QWEN2_SPLIT,),
    "default": (r"[\p{P}\$\+<=>\^~\|]+", GPT2_SPLIT, r"\p{N}+", "[0-9][0-9][0-9]"),
}
# Those of tiktoken's encodings have no equal in llama.cpp ("gpt-4o" there knows capitals of ASCII
# only).
SPLITS: Mapping[str, tuple[str, ...]] = {
    **LLAMACPP_SPLITS,
    "cl100k": (CL100K_SPLIT,),
    "o200k": (O200K_SPLIT,),
}


def split_text(text: str, split: str) -> list[str]:
    """Return the pieces of `text` under the split named `split`; concatenated they are the text.

    >>> split_text("It's 12345 o'clock", "llama-bpe")
    ['It', "'s", ' ', '123', '45', ' o', "'clock"]
    """
    pieces = [text] if text else []
    for expression in SPLITS[split]:
        pieces = [part for piece in pieces for part in _parts(expression, piece)]
    return pieces


def _parts(expression: str, piece: str) -> Iterator[str]:
    """Yield every match of `expression` in `piece`, and the text between the matches."""
    import regex  # half as long as numpy to import, and a tokenizer from a file needs none

    end = 0
    for match in regex.finditer(expression, piece):
        if match.start() > end:
            yield piece[end : match.start()]
        if match.end() > match.start():
            yield match.group()
        end = match.end()
    if end < len(piece):
        yield piece[end:]


@cache
def _long_run() -> "regex.Pattern[str]":
    import regex

    return regex.compile(
        "|".join(f"{kind}{{{MAX_TRAINED_RUN}}}" for kind in (r"\p{L}", r"[^\s\p{L}\p{N}]", r"\s"))
        + rf"|\p{{N}}{{{MAX_TRAINED_RUN // 3 * 3}}}"  # digits are pieces of three: this cuts none
    )


def training_texts(text: str) -> Iterator[str]:
    """Yield `text` as vocabularies are trained on it: cut wherever letters, signs, spaces or digits
    run on for about MAX_TRAINED_RUN characters.

    Training takes time with the square of a piece's length, and a token as long as that would never
    be met again. Encoding needs no cut.

    >>> [len(part) for part in training_texts("a" * 600 + " word")]
    [256, 256, 93]
    """
    start = 0
    for match in _long_run().finditer(text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]


def pre_tokenizer_spec(split: str) -> dict[str, object]:
    """Return the `pre_tokenizer` entry of a tokenizer.json for a named split, in the form of the
    family's own files.
    """
    *first, last = SPLITS[split]
    # The ByteLevel step includes GPT-2's expression, where that is the last one.
    built_in = last == GPT2_SPLIT
    expressions = first if built_in else SPLITS[split]
    steps = [_step(expression) for expression in expressions]
    steps.append(
        {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": built_in,
        }
    )
    if len(steps) == 1:
        return steps[0]
    return {"type": "Sequence", "pretokenizers": steps}


def _step(expression: str) -> dict[str, object]:
    if expression == ONE_DIGIT:
        return {"type": "Digits", "individual_digits": True}
    return {
        "type": "Split",
        "pattern": {"Regex": expression},
        "behavior": "Isolated",
        "invert": False,
    }


def recognise_split(pre_tokenizer: object) -> str | None:
    """Return the name of the split of a tokenizer.json's `pre_tokenizer` entry, None where it is
    unknown.
    """
    steps = _steps(pre_tokenizer)
    return next((split for split in SPLITS if _steps(pre_tokenizer_spec(split)) == steps), None)


def _steps(spec: object) -> list[object]:
    """Return the steps of a `pre_tokenizer` entry as a list, without settings that do not affect
    the ids.
    """
    match spec:
        case {"type": "Sequence", "pretokenizers": [*steps]}:
            return [
                {key: value for key, value in step.items() if key != "trim_offsets"}
                for step in steps
                if isinstance(step, dict)
            ]
        case dict():
            return _steps({"type": "Sequence", "pretokenizers": [spec]})
    return []


def _byte_alphabet() -> dict[int, str]:
    """Return byte -> character: visible Latin-1 characters for themselves, U+0100 and on for the
    other 68 bytes, in order.
    """
    visible = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {
        byte: chr(256 + rank) for rank, byte in enumerate(hidden)
    }


BYTE_TO_CHARACTER = _byte_alphabet()
CHARACTER_TO_BYTE = {character: byte for byte, character in BYTE_TO_CHARACTER.items()}
# The same for `str.translate`: a byte's character becomes the Latin-1 one; others become U+FFFF,
# which Latin-1 cannot encode.
_TO_LATIN_1 = dict.fromkeys(range(256), 65535) | {
    ord(each): byte for each, byte in CHARACTER_TO_BYTE.items()
}
# The bytes that are not written as the Latin-1 character of their number.
_HIDDEN = {
    byte: character for byte, character in BYTE_TO_CHARACTER.items() if byte != ord(character)
}
# Bytes in the order of their characters: the ids 0 to 255 of GPT-2 and of ours.
BYTE_ORDER = sorted(range(256), key=lambda byte: BYTE_TO_CHARACTER[byte])


class JsonParts(NamedTuple):
    """What a style decides of a tokenizer.json, by its entries."""

    normalizer: object
    pre_tokenizer: object
    decoder: object
    model: Mapping[str, str | int]
    """Without vocabulary and merges."""


@dataclass(frozen=True)
class ByteLevel:
    """The style of a byte-level vocabulary."""

    split: str
    """Name of the split, one of `SPLITS`."""
    nfc: bool = False
    """Whether texts are normalised to NFC first (Qwen)."""
    whole_pieces: bool = True
    """Whether a piece that is a token is encoded without merging (`ignore_merges`: Llama 3, and
    llama.cpp for its split).
    """

    def json_parts(self) -> JsonParts:
        flags = ("add_prefix_space", "trim_offsets", "use_regex")
        return JsonParts(
            {"type": "NFC"} if self.nfc else None,
            pre_tokenizer_spec(self.split),
            {"type": "ByteLevel", **dict.fromkeys(flags, True)},
            {"byte_fallback": False, "ignore_merges": self.whole_pieces},
        )

    def bytes_of(self, token: str, *, added: bool) -> bytes | None:
        """Return the bytes of a token (an added one is plain text); None where a character is not
        in the byte alphabet.
        """
        try:
            if added:
                return token.encode("utf-8", "replace")
            return token.translate(_TO_LATIN_1).encode("latin-1")
        except UnicodeEncodeError:
            return None

    def bytes_of_all(self, tokens: Sequence[str]) -> list[bytes] | None:
        """Return the bytes of many tokens, none of them added, at once: a character is a byte; None
        where one is not in the byte alphabet.
        """
        text = "".join(tokens)
        if any(chr(byte) in text for byte in _HIDDEN):  # is written as another character
            return None
        for byte, character in _HIDDEN.items():  # several times as fast as `translate`
            text = text.replace(character, chr(byte))
        try:
            joined = text.encode("latin-1")
        except UnicodeEncodeError:
            return None
        ends = list(accumulate(map(len, tokens)))
        return [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def is_whole(self, token: str) -> bool:
        """Whether some text becomes this token without any merge: a byte, or a whole piece."""
        # Control tokens are plain text, but the look-up uses the byte alphabet: a piece " a" is
        # looked up as "Ġa".
        piece = bytes(CHARACTER_TO_BYTE.get(character, 0) for character in token).decode(
            "utf-8", "replace"
        )
        return len(token) == 1 or (self.whole_pieces and split_text(piece, self.split) == [piece])


def read_byte_level(spec: Mapping[str, Any], source: object) -> ByteLevel:
    """Return the style of a parsed tokenizer.json. Raises FormatError."""
    normalizer = spec.get("normalizer")
    if normalizer not in (None, {"type": "NFC"}):
        raise FormatError(
            source, "normalizer", "is not supported; byte-level BPE may have NFC or none"
        )
    split = recognise_split(spec.get("pre_tokenizer"))
    if split is None:
        raise FormatError(
            source,
            "pre_tokenizer",
            f"splits text in an unknown way; supported are {', '.join(SPLITS)}",
        )
    return ByteLevel(
        split, nfc=normalizer is not None, whole_pieces=bool(spec["model"].get("ignore_merges"))
    )
