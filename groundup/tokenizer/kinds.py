"""The kinds of tokenizer that are made here: BPE, and two for teaching, of characters and of bytes.

    bpe         bytes joined into frequent pieces (`fast.train_tokenizer`)
    character   each character of the texts is a token; any other is written in its UTF-8 bytes, so
                nothing is unknown
    byte        each byte is a token, and its id is its value; nothing is learned

All are a `Tokenizer` with our control tokens at the last ids, and each is a tokenizer.json: a byte
tokenizer is byte-level BPE without merges, a character tokenizer SentencePiece BPE without merges.
So the latter writes a space as "▁" (U+2581), and that one character in a text becomes a space;
every other text is decoded as it was.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, TypeGuard, get_args

from groundup.errors import ConfigError, DataError, did_you_mean
from groundup.progress import Progress, Silent
from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, ByteLevel
from groundup.tokenizer.fast import SPLIT, Tokenizer, our_tokenizer, train_tokenizer
from groundup.tokenizer.sentencepiece import BYTE_TOKENS, SPACE, SentencePiece
from groundup.tokenizer.spec import MAX_IDS, well_formed
from groundup.tokenizer.special import CONTROL_TOKENS
from groundup.tokenizer.training_sample import SAMPLE_BYTES

Kind = Literal["bpe", "character", "byte"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def make_tokenizer(
    kind: Kind,
    texts: Iterable[str],
    vocab_size: int = 4096,
    *,
    sample_bytes: int = SAMPLE_BYTES,
    progress: Progress | None = None,
) -> Tokenizer:
    """Return a tokenizer of a kind; a byte tokenizer reads no text, and only BPE limits it to
    `sample_bytes`.

    Raises ConfigError (kind, size), DataError without text.
    """
    progress = progress or Silent()
    if require_kind(kind) == "bpe":
        return train_tokenizer(texts, vocab_size, sample_bytes=sample_bytes, progress=progress)
    if kind == "byte":
        tokenizer = byte_tokenizer()
    else:
        tokenizer = character_tokenizer(texts, vocab_size, progress=progress)
    if kind == "byte":
        progress.say(
            f"{tokenizer.vocab_size} ids: 256 bytes and {len(CONTROL_TOKENS)} control tokens"
        )
    return tokenizer


def require_kind(name: str) -> Kind:
    """Raises ConfigError."""
    if not _is_kind(name):
        raise ConfigError(f"There is no kind of tokenizer {name!r}.", fix=did_you_mean(name, KINDS))
    return name


def _is_kind(name: str) -> TypeGuard[Kind]:
    return name in KINDS


def byte_tokenizer() -> Tokenizer:
    """Return the tokenizer whose ids are the bytes of the text in UTF-8.

    >>> byte_tokenizer().encode("aé")
    [97, 195, 169]
    """
    vocabulary = {character: byte for byte, character in BYTE_TO_CHARACTER.items()}
    return our_tokenizer(vocabulary, [], ByteLevel(SPLIT))


def character_tokenizer(
    texts: Iterable[str], vocab_size: int = MAX_IDS, *, progress: Progress | None = None
) -> Tokenizer:
    """Return the tokenizer of the characters in `texts`, sorted; of more than fit into
    `vocab_size`, the most frequent ones.

    After the characters come the tokens of the bytes that write other characters. Raises
    ConfigError for too small a size, DataError without text.

    >>> character_tokenizer(["abba"]).encode("ab")
    [0, 1]
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(well_formed(text).replace(" ", SPACE))
    if not counts:
        raise DataError(
            "There is no text to make a tokenizer of.", fix="Give a folder or file with text."
        )
    characters = _fitting(counts, vocab_size)
    others = [
        token for token, byte in BYTE_TOKENS.items() if not (byte < 128 and chr(byte) in characters)
    ]
    vocabulary = {token: id for id, token in enumerate([*sorted(characters), *others])}
    tokenizer = our_tokenizer(vocabulary, [], SentencePiece("never"))
    left, rare = counts.keys() - characters, ""
    if left:
        share = sum(counts[each] for each in left) / counts.total()
        rare = f" ({len(left):,} rarer ones, {share:.2%} of the text, are written in bytes)"
    (progress or Silent()).say(
        f"{tokenizer.vocab_size:,} ids: {len(characters):,} characters{rare}, "
        f"{len(others)} bytes for others, {len(CONTROL_TOKENS)} control tokens"
    )
    return tokenizer


def _fitting(counts: Counter[str], vocab_size: int) -> set[str]:
    """Return the space and the most frequent characters that fit; an ASCII one takes the place of
    its byte. Raises ConfigError.
    """
    size = len(BYTE_TOKENS) + len(CONTROL_TOKENS) + 1
    if vocab_size < size:
        raise ConfigError(
            f"vocab_size {vocab_size} is too small: 256 bytes, a space and "
            f"{len(CONTROL_TOKENS)} control tokens need {size}.",
            fix="4096 suits most texts; fewer ids are made where there are fewer characters.",
        )
    chosen = {SPACE}  # written in bytes, it would be decoded as U+2581
    for character, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        size += not (character.isascii() or character == SPACE)
        if size > vocab_size:
            break
        chosen.add(character)
    return chosen
