"""Byte-level BPE: how GPT-2, Llama 3, Qwen, SmolLM and our own vocabularies write text.

Each byte is one visible character (GPT-2's alphabet), so that a vocabulary is plain text: a space is "Ġ", a newline "Ċ". Text falls
into pieces first (`split.py`); merges stay inside a piece.

Left out: normalisation but NFC, expressions that are not in `split.SPLITS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundup.errors import FormatError
from groundup.tokenizer.split import SPLITS, pre_tokenizer_spec, recognise_split, split_text


def _byte_alphabet() -> dict[int, str]:
    """Byte -> character: visible Latin-1 characters stand for themselves, the other 68 bytes for U+0100 and on, in order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + rank) for rank, byte in enumerate(hidden)}


BYTE_TO_CHARACTER = _byte_alphabet()
CHARACTER_TO_BYTE = {character: byte for byte, character in BYTE_TO_CHARACTER.items()}
# The same for whole texts: a byte's character becomes the Latin-1 one, and those that stand for no byte leave Latin-1.
_TO_LATIN_1 = dict.fromkeys(range(256), 65535) | {ord(each): byte for each, byte in CHARACTER_TO_BYTE.items()}
# Bytes in the order of their characters: the ids 0 to 255 of GPT-2 and of ours.
BYTE_ORDER = sorted(range(256), key=lambda byte: BYTE_TO_CHARACTER[byte])


@dataclass(frozen=True)
class ByteLevel:
    """The style of a byte-level vocabulary."""

    split: str
    """Name of the split, one of `split.SPLITS`."""
    nfc: bool = False
    """Whether texts are brought into Unicode's composed form first (Qwen)."""
    whole_pieces: bool = True
    """Whether a piece that is a token as a whole is taken without merging (Llama 3, and llama.cpp for its split)."""

    def json_parts(self) -> dict[str, Any]:
        """What a tokenizer.json says around the vocabulary and the merges."""
        return {
            "normalizer": {"type": "NFC"} if self.nfc else None,
            "pre_tokenizer": pre_tokenizer_spec(self.split),
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"byte_fallback": False, "ignore_merges": self.whole_pieces},
        }

    def bytes_of(self, token: str, *, added: bool) -> bytes | None:
        """The bytes that a token stands for (an added one is written as it is); None where a character stands for no byte."""
        try:
            return token.encode("utf-8", "replace") if added else token.translate(_TO_LATIN_1).encode("latin-1")
        except UnicodeEncodeError:
            return None

    def is_whole(self, token: str) -> bool:
        """Whether some text becomes this token without any merge: a byte, or a piece that is taken as a whole."""
        # Control tokens are plain text, but the look-up is by the byte alphabet: a piece " a" is looked up as "Ġa".
        piece = bytes(CHARACTER_TO_BYTE.get(character, 0) for character in token).decode("utf-8", "replace")
        return len(token) == 1 or (self.whole_pieces and split_text(piece, self.split) == [piece])


def read_byte_level(spec: Mapping[str, Any], source: object) -> ByteLevel:
    """The style of a parsed tokenizer.json. Raises FormatError."""
    normalizer = spec.get("normalizer")
    if normalizer not in (None, {"type": "NFC"}):
        raise FormatError(source, "normalizer", "is none that we know; of byte-level BPE only NFC is supported")
    split = recognise_split(spec.get("pre_tokenizer"))
    if split is None:
        known = ", ".join(SPLITS)
        raise FormatError(source, "pre_tokenizer", f"splits text in a way that is not known; known are {known}")
    return ByteLevel(split, nfc=normalizer is not None, whole_pieces=bool(spec["model"].get("ignore_merges")))


def visible_token(token: bytes) -> str:
    """A token's bytes as a vocabulary writes them. `b" a"` -> "Ġa"."""
    return "".join(BYTE_TO_CHARACTER[byte] for byte in token)
