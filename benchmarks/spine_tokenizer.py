"""Training and encoding against the library below it, transformers above it, and the readable version beside it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import tokenizers
from measure import Contender, Row, compare
from texts import megabytes, read_texts
from tokenizers import models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from groundup.tokenizer.bpe import train_bpe
from groundup.tokenizer.bytelevel import LLAMA3_SPLIT
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, train_tokenizer
from groundup.tokenizer.special import CONTROL_TOKENS

TITLE = "byte-level BPE, Llama 3 split; MB of UTF-8 a second"
VOCABULARY = 4096
# The readable version counts everything anew for each merge.
READABLE_VOCABULARY = 512
READABLE_CHARACTERS = 50_000
# The fast one is done with that part before a clock can tell.
REPEATS = 20


def rows(quick: bool) -> list[Row]:
    """Training, encoding, and both on a small part against the readable version."""
    texts, rounds = read_texts(quick), 2 if quick else 7
    size = 1024 if quick else VOCABULARY
    return [
        *training(texts, size, rounds),
        *encoding(texts, size, rounds),
        *readable(texts, 2 if quick else 5),
    ]


def training(texts: Sequence[str], size: int, rounds: int) -> list[Row]:
    """Texts -> a tokenizer of `size` ids."""
    contenders = [
        Contender("groundup", lambda: train_tokenizer(texts, size), megabytes(texts)),
        Contender("tokenizers, used plainly", lambda: train_plainly(texts, size), megabytes(texts)),
    ]
    return compare(f"training {size:,} ids", "MB/s", contenders, rounds=rounds)


def train_plainly(texts: Sequence[str], size: int) -> tokenizers.Tokenizer:
    """As the library's own guide does it, with the same split and as many special tokens."""
    library = tokenizers.Tokenizer(models.BPE())
    split = pre_tokenizers.Split(tokenizers.Regex(LLAMA3_SPLIT), "isolated")
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = list(CONTROL_TOKENS)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    library.train_from_iterator(texts, trainer)
    return library


def encoding(texts: list[str], size: int, rounds: int) -> list[Row]:
    """Texts -> ids, by programs that open the same folder and give the same ids."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train_tokenizer(texts, size).save(folder)
        ours, theirs = Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
        library = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER_FILE))
    ids = ours.encode_batch(texts)
    assert ids == [each.ids for each in library.encode_batch(texts)] == theirs(texts)["input_ids"]
    contenders = [
        Contender("groundup encode_batch", lambda: ours.encode_batch(texts), megabytes(texts)),
        Contender("tokenizers encode_batch", lambda: library.encode_batch(texts), megabytes(texts)),
        Contender(
            "tokenizers encode_batch_fast",
            lambda: library.encode_batch_fast(texts),
            megabytes(texts),
        ),
        Contender("transformers AutoTokenizer", lambda: theirs(texts), megabytes(texts)),
    ]
    return compare("encoding", "MB/s", contenders, rounds=rounds)


def readable(texts: list[str], rounds: int) -> list[Row]:
    """The fast trainer and encoder against the ones that are there to be read."""
    part = [texts[0][:READABLE_CHARACTERS]]
    size, amount = READABLE_VOCABULARY, megabytes(part)
    slow, fast = (
        train_bpe(part, size, "llama-bpe"),
        train_tokenizer(part, size + len(CONTROL_TOKENS)),
    )
    assert slow.encode(part[0]) == fast.encode(part[0])
    trained = [
        Contender("groundup", lambda: train_tokenizer(part, size), amount),
        Contender("groundup's readable bpe.py", lambda: train_bpe(part, size, "llama-bpe"), amount),
    ]
    encoded = [
        Contender("groundup", lambda: fast.encode_batch(part * REPEATS), amount * REPEATS),
        Contender("groundup's readable bpe.py", lambda: slow.encode(part[0]), amount),
    ]
    where = f"{READABLE_CHARACTERS // 1000} kB"
    return [
        *compare(f"training {size} ids on {where}", "MB/s", trained, rounds=rounds),
        *compare(f"encoding {where}", "MB/s", encoded, rounds=rounds),
    ]
