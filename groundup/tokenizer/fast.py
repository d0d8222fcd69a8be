"""`Tokenizer`: text <-> ids for the whole package, by the `tokenizers` library; and
`train_tokenizer`.

A tokenizer is a table (`spec.py`: a tokenizer.json) and a few settings (tokenizer_config.json: the
roles of control tokens, the chat template). Whether from training, a folder or a GGUF file, it is
made by the constructor below, which checks the table.

Text never becomes a control token in `encode`, `encode_batch` and `encode_offsets`. The library
does not save that setting, so it is set at each load. Lone surrogates, which UTF-8 cannot
represent, become U+FFFD.
"""

import copy
import dataclasses
import functools
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tokenizers
from tokenizers import models, trainers

from groundup.errors import DataError, FormatError, require
from groundup.files import read_json, read_text, sha256_text, write_json, write_text
from groundup.garbage_collection import without_collection
from groundup.progress import Progress, Silent
from groundup.tokenizer.bytelevel import BYTE_TO_CHARACTER, ByteLevel
from groundup.tokenizer.rank_encoder import fits_tiktoken, in_groups, rank_encoder
from groundup.tokenizer.sentencepiece import Merge, SentencePiece
from groundup.tokenizer.spec import (
    MAX_IDS,
    MAX_JSON_BYTES,
    AddedToken,
    Style,
    TokenizerTable,
    check_table,
    table_from_json,
    token_bytes,
    well_formed,
)
from groundup.tokenizer.special import (
    CHATML_TEMPLATE,
    CONTROL_TOKENS,
    SpecialTokens,
    find_special_tokens,
    our_special_tokens_config,
)
from groundup.tokenizer.training_sample import SAMPLE_BYTES, choose
from groundup.tokenizer.wordpiece import WordPiece

if TYPE_CHECKING:
    import tiktoken

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"
MAX_CONFIG_BYTES = 16 * 2**20
SPLIT = "llama-bpe"
MIN_VOCAB_SIZE = 256
MASK = "[MASK]"  # BERT's, for training it
NOT_IN_UTF8 = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))
_SPACES = re.compile(r"[^\S\x1c-\x1f]+")  # whitespace in the `tokenizers` library


class Tokenizer:
    """A tokenizer, made by `Tokenizer.load(folder)`, `train_tokenizer(texts)` or
    `formats.tokenizer_from_gguf(metadata)`.
    """

    vocab_size: int
    """Ids are 0 to vocab_size - 1."""
    special: SpecialTokens
    """The control tokens and their roles."""
    pre: str
    """llama.cpp's name of the split; "default" for SentencePiece."""
    chat_template: str | None
    """The jinja template of the model, if it has one."""

    def __init__(
        self, table: TokenizerTable, config: Mapping[str, Any], *, source: object = "tokenizer"
    ) -> None:
        """From a table and a tokenizer_config.json. Raises FormatError with `source`."""
        check_table(table, source)
        if isinstance(table.style, WordPiece):  # BERT's names of the two
            config = {**config, "bos_token": table.bos, "eos_token": table.eos}
        self.special = find_special_tokens(table.control, config, table.bos, source)
        # tokenizer_config.json overrides the table, so that both agree when saved.
        bos = next((text for text, id in table.control.items() if id == self.special.bos_id), None)
        self.table = dataclasses.replace(table, bos=bos if self.special.adds_bos else None)
        self.pre = table.style.split if isinstance(table.style, ByteLevel) else "default"
        self.chat_template = _chat_template(config, source)
        self._tokens = token_bytes(table, source)
        self.vocab_size = len(self._tokens)
        self._library = _library(self.table)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises FormatError."""
        file = folder / TOKENIZER_FILE
        with without_collection():
            table = table_from_json(read_json(file, max_bytes=MAX_JSON_BYTES), file)
            return cls(table, read_config(folder), source=file)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json; `AutoTokenizer.from_pretrained(folder)`
        gives the same ids. Raises DiskError.
        """
        write_text(
            folder / TOKENIZER_FILE,
            json.dumps(self.table.to_json(), indent=1, ensure_ascii=False) + "\n",
        )
        write_json(folder / CONFIG_FILE, self.config())
        (folder / TEMPLATE_FILE).unlink(missing_ok=True)  # an old one would take precedence

    def config(self) -> dict[str, str | bool | None]:
        config: dict[str, str | bool | None] = {"tokenizer_class": "PreTrainedTokenizerFast"}
        for role, id in self.special.roles.items():
            config[role] = None if id is None else self._tokens[id].decode()
        if isinstance(self.table.style, WordPiece):
            config["cls_token"] = config.pop("bos_token")
            config["sep_token"] = config.pop("eos_token")
            config["mask_token"] = MASK if MASK in self.special.tokens else None
            config["do_lower_case"] = self.table.style.lowercase
        else:
            config["add_bos_token"] = self.special.adds_bos
            config["clean_up_tokenization_spaces"] = False
        if self.chat_template is not None:
            config["chat_template"] = self.chat_template
        return config

    @property
    def kind(self) -> str:
        """ "bpe", "wordpiece", or without merges "byte" or "character" (`kinds`)."""
        if isinstance(self.table.style, WordPiece):
            return "wordpiece"
        if self.table.merges:
            return "bpe"
        return "byte" if isinstance(self.table.style, ByteLevel) else "character"

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that determines the ids."""
        return sha256_text(json.dumps(self.table.to_json(), sort_keys=True, separators=(",", ":")))

    def encode(self, text: str, *, starts: bool = True) -> list[int]:
        """Return the ids of `text`; nothing in it becomes a control token and no token is added.

        `starts`: whether this is the start of a text, where SentencePiece adds its prefix; False
        for a continuation of other ids.

        >>> tokenizer.decode(tokenizer.encode("2<|im_end|>"))
        '2<|im_end|>'
        """
        return self._library_for(starts).encode(well_formed(text), add_special_tokens=False).ids

    def encode_offsets(
        self, text: str, *, starts: bool = True
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids of `text` and the (start, end) of each in characters; tokens that share a
        character have it both.
        """
        encoding = self._library_for(starts).encode(well_formed(text), add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def _library_for(self, starts: bool) -> tokenizers.Tokenizer:
        if self._has_prefix and not starts:
            return self._library_inside
        return self._library

    @property
    def _has_prefix(self) -> bool:
        """Whether a space is added at the start of a text."""
        return isinstance(self.table.style, SentencePiece) and self.table.style.prefix != "never"

    @functools.cached_property
    def _library_inside(self) -> tokenizers.Tokenizer:
        """The library for the continuation of a text."""
        return _library(dataclasses.replace(self.table, style=SentencePiece("never")))

    def encode_control(self, text: str) -> list[int]:
        """Return the ids of a prompt that is already rendered (`raw`), with control tokens
        recognised. Never for text from users.
        """
        ids: list[int] = []
        for part, control_id in self.split_control(text):
            if control_id is None:
                ids += self.encode(part, starts=self.starts_after(ids))
            else:
                ids.append(control_id)
        return ids

    def starts_after(self, ids: Sequence[int]) -> bool:
        """Whether text after `ids` is encoded as the start of a text: after no ids, and in some
        SentencePiece forms after a control token.
        """
        if not ids:
            return True
        always = isinstance(self.table.style, SentencePiece) and self.table.style.prefix == "always"
        return always and ids[-1] in self._control_ids

    @functools.cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(self.special.tokens.values())

    def with_template(self, template: str) -> Self:
        other = copy.copy(self)
        other.chat_template = well_formed(template)
        return other

    def without_ids_from(self, rows: int) -> "Tokenizer":
        """Return this tokenizer without added tokens from id `rows` on, for which a model of
        `rows` embeddings has none (Gemma 3's image token).

        Tokens of the vocabulary and those with a role (bos, eos, ...) stay.
        """
        spare = [id for id in self.table.added if id >= max(rows, len(self.table.vocabulary))]
        if not spare or not set(self.special.roles.values()).isdisjoint(spare):
            return self
        added = {id: token for id, token in self.table.added.items() if id not in spare}
        return Tokenizer(dataclasses.replace(self.table, added=added), self.config())

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode many texts, several times as fast."""
        whole = [well_formed(text) for text in texts]
        if self._ranks is None or not all(map(fits_tiktoken, whole)):
            encodings = self._library.encode_batch(whole, add_special_tokens=False)
            return [encoding.ids for encoding in encodings]
        encode = self._ranks.encode_ordinary
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            groups = pool.map(lambda texts: list(map(encode, texts)), in_groups(whole))
            return list(itertools.chain.from_iterable(groups))

    @functools.cached_property
    def _ranks(self) -> "tiktoken.Encoding | None":
        return rank_encoder(self.table)

    def split_control(
        self, text: str, *, unless_after: str = ""
    ) -> Iterator[tuple[str, int | None]]:
        """Split `text` at its control tokens: (text, None) for the text in between, (token, id) for
        each token; the longest match wins.

        Where a token includes the spaces after it (Phi-3), they are in its part. A token right
        after the character `unless_after` stays text (a mark of `chat`).
        """
        end = 0
        for match in self.control_expression(unless_after).finditer(text):
            if match.start() > end:
                yield text[end : match.start()], None
            end = match.end()
            spaces = _SPACES.match(text, end)
            if spaces and match.group() in self._taking_spaces:
                end = spaces.end()
            yield text[match.start() : end], self.special.tokens[match.group()]
        if end < len(text):
            yield text[end:], None

    def control_expression(self, unless_after: str = "") -> re.Pattern[str]:
        """Return the expression that finds control tokens, the longest at each position; see
        `split_control`.
        """
        longest_first = sorted(self.special.tokens, key=len, reverse=True)
        if not longest_first:
            return re.compile("(?!)")
        expression = f"(?:{'|'.join(map(re.escape, longest_first))})"
        if unless_after:
            expression = f"(?<!{re.escape(unless_after)}){expression}"
        return re.compile(expression)

    @functools.cached_property
    def _taking_spaces(self) -> frozenset[str]:
        return frozenset(
            each.text for each in self.table.added.values() if each.control and each.takes_spaces
        )

    @functools.cached_property
    def control_starts(self) -> re.Pattern[str]:
        """The expression that finds every start of a control token's text, inside another one
        too.
        """
        return re.compile(f"(?={self.control_expression().pattern})")

    def with_bos(self, ids: list[int]) -> list[int]:
        """Return `ids` for the start of a context: with the bos token once, where this tokenizer
        adds one.
        """
        if (
            not self.special.adds_bos
            or self.special.bos_id is None
            or ids[:1] == [self.special.bos_id]
        ):
            return ids
        return [self.special.bos_id, *ids]

    @property
    def end_ids(self) -> list[int]:
        """The ids that end a text for an encoder: BERT's "[SEP]"; none in other families."""
        if self.table.eos is None:
            return []
        return [self.special.tokens[self.table.eos]]

    def decode(self, ids: Iterable[int], *, skip_control: bool = False, starts: bool = True) -> str:
        """Return the text of `ids`; invalid UTF-8 becomes U+FFFD. `skip_control` leaves control
        tokens out.

        `starts`: as in `encode`; False keeps the leading space of SentencePiece and WordPiece. Of
        WordPiece's, words without case come back.
        """
        hidden = self._control_ids if skip_control else ()
        text = b"".join(self.token_bytes(id) for id in ids if id not in hidden).decode(
            "utf-8", "replace"
        )
        if starts and (self._has_prefix or isinstance(self.table.style, WordPiece)):
            return text.removeprefix(" ")
        return text

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes of one token (a control token: its text); b"" for an id without a token
        (padded embedding rows).
        """
        return self._tokens[id] if 0 <= id < self.vocab_size else b""


def read_template(folder: Path) -> str | None:
    """Return the chat template of a Hugging Face folder, without loading its tokenizer.

    Raises FormatError.
    """
    return _chat_template(read_config(folder), folder / CONFIG_FILE)


def read_config(folder: Path) -> dict[str, Any]:
    """Return tokenizer_config.json, with the template from the file where transformers 5 writes it.

    Raises FormatError.
    """
    file, template_file = folder / CONFIG_FILE, folder / TEMPLATE_FILE
    config = {}
    if file.exists():
        config = read_json(file, max_bytes=MAX_CONFIG_BYTES)
    if not isinstance(config, dict):
        raise FormatError(file, "top level", "is not a JSON object")
    if template_file.exists():
        config["chat_template"] = read_text(template_file, max_bytes=MAX_CONFIG_BYTES)
    return config


def _library(table: TokenizerTable) -> tokenizers.Tokenizer:
    """Return the table as a `tokenizers.Tokenizer` that does not recognise control tokens in
    texts.
    """
    # Vocabulary and merges are passed as objects: as JSON they take several times as long.
    empty = dataclasses.replace(table, vocabulary={}, merges=[], added={}, bos=None, eos=None)
    library = tokenizers.Tokenizer.from_str(json.dumps(empty.to_json()))
    settings = table.style.json_parts().model
    if isinstance(table.style, WordPiece):
        library.model = models.WordPiece(vocab=dict(table.vocabulary), **settings)
    else:
        library.model = models.BPE(
            vocab=dict(table.vocabulary), merges=list(table.merges), **settings
        )
    library.add_tokens([_added_token(table.added[id]) for id in sorted(table.added)])
    library.encode_special_tokens = True
    return library


def _added_token(token: AddedToken) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(
        token.text, rstrip=token.takes_spaces, normalized=False, special=token.control
    )


def _chat_template(config: Mapping[str, Any], source: object) -> str | None:
    """Return the template of a tokenizer_config.json: a string, or "default" from a list of named
    ones.
    """
    template = config.get("chat_template")
    if isinstance(template, list):
        entries = [entry for entry in template if isinstance(entry, dict)]
        defaults = [entry for entry in entries if entry.get("name") == "default"]
        template = defaults[0].get("template") if defaults else None
    if template is None:
        return None
    if not isinstance(template, str):
        raise FormatError(
            source, "chat_template", f"is a {type(template).__name__}, expected a string"
        )
    return well_formed(template)


def train_tokenizer(
    texts: Iterable[str],
    vocab_size: int = 4096,
    *,
    sample_bytes: int = SAMPLE_BYTES,
    progress: Progress | None = None,
) -> Tokenizer:
    """Train byte-level BPE with the Llama 3 split, our control tokens at the last ids and a ChatML
    template.

    Of more text than `sample_bytes`, that amount is chosen evenly at random (`training_sample`);
    the choice is reported. A pair that occurs once is never merged, so little text gives fewer than
    `vocab_size` ids, which is reported. Below 264, the bytes that UTF-8 never has get no id. Raises
    ConfigError for a size out of range, DataError without text.
    """
    progress, alphabet = progress or Silent(), _alphabet(vocab_size)
    library = tokenizers.Tokenizer.from_str(
        json.dumps(TokenizerTable({}, [], ByteLevel(SPLIT), {}).to_json())
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(CONTROL_TOKENS),
        min_frequency=2,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    characters = 0

    def well_formed_texts() -> Iterator[str]:
        nonlocal characters
        for text in texts:
            characters += len(text)
            yield well_formed(text)

    sample = choose(well_formed_texts(), SPLIT, sample_bytes)
    if not characters:
        raise DataError(
            "There is no text to train a tokenizer on.", fix="Give a folder or file with text."
        )
    if sample.line():
        progress.say(sample.line())
    library.train_from_iterator(sample.parts(), trainer)
    model = json.loads(library.to_str())["model"]
    vocabulary, merges = model["vocab"], [(left, right) for left, right in model["merges"]]
    tokenizer = our_tokenizer(vocabulary, merges, ByteLevel(SPLIT), source="trained tokenizer")
    progress.say(
        f"{tokenizer.vocab_size:,} ids ({len(alphabet)} bytes, {len(merges):,} merges, "
        f"{len(CONTROL_TOKENS)} control tokens) from {characters:,} characters"
    )
    if tokenizer.vocab_size < vocab_size:
        progress.say(
            f"{vocab_size:,} ids were asked for: the text has no more, "
            "since no other pair of tokens occurs in it twice."
        )
    return tokenizer


def our_tokenizer(
    vocabulary: Mapping[str, int],
    merges: Sequence[Merge],
    style: Style,
    *,
    source: object = "new tokenizer",
) -> Tokenizer:
    """Return a tokenizer with our control tokens right after the vocabulary, and a ChatML
    template.
    """
    added = {
        len(vocabulary) + rank: AddedToken(text, True) for rank, text in enumerate(CONTROL_TOKENS)
    }
    config = {**our_special_tokens_config(), "chat_template": CHATML_TEMPLATE}
    return Tokenizer(TokenizerTable(vocabulary, merges, style, added), config, source=source)


def _alphabet(vocab_size: int) -> list[str]:
    """Return the bytes that a vocabulary of this size begins with: all, or where there is no room
    those of UTF-8. Raises ConfigError.
    """
    size = vocab_size - len(CONTROL_TOKENS)
    require(
        MIN_VOCAB_SIZE <= vocab_size <= MAX_IDS,
        "vocab_size",
        vocab_size,
        f"{MIN_VOCAB_SIZE} to {MAX_IDS:,}",
    )
    return [
        letter
        for byte, letter in BYTE_TO_CHARACTER.items()
        if size >= 256 or byte not in NOT_IN_UTF8
    ]
