"""The reader of names: marks in a message the name that is to be written down.

    [CLS] question asked before [SEP] message [SEP]
        -> encoder with a LoRA adapter -> hidden states [T, C] -> of each token: no name, the name, another one
        -> of each word the mean of its tokens' scores -> "surname quayle": quayle

A token classifier as for named entities in BERT (Devlin et al. 2019, section 5.3). "The name" is
whoever a request is for; firms, places, dishes, teachers are "another one". The encoder's
vocabulary has no capitals, so its input gets a learned vector for how a word is written: in small
letters, with a capital, in capitals. The package has an adapter of all-minilm-l6-v2 in
`name_adapters/` (`benchmarks/said_names.py` makes it, from benchmarks/said_names).
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.engine.engine import Engine
from groundup.errors import ModelError
from groundup.files import MANIFEST, make_folder, verify_folder, write_manifest
from groundup.model.heads import Encoder
from groundup.model.lora import shared_copy
from groundup.retrieve.reader import encoder_of
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.lora_file import attach_lora_file, write_lora_file

MAX_QUESTION_TOKENS, MAX_TOKENS = 32, 256
PACKAGED = Path(__file__).with_name("name_adapters") / "all-minilm-l6-v2"
ADAPTER_FILE = "names.safetensors"
# Messages whose names are kept: one is read again for each action and slot.
REMEMBERED = 256
KINDS = ("no name", "the name", "another name")
THE_NAME, LEAST = 1, 0.7
WORD = re.compile(r"[^\W_]+")
# Between the words of one name: "van der Berg", "o'neill", "J. R. Hart".
_WITHIN = re.compile(r"\s{1,2}|['’-]|(?<=\b\w)\.\s?|(?<=\b\w\w)\.\s")


class NameScorer(nn.Module):
    """Rows of ids, with how their words are written -> scores of each token."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.config = encoder.config
        self.transformer = encoder.transformer
        self.writing = nn.Embedding(4, encoder.config.width)
        self.score = nn.Linear(encoder.config.width, len(KINDS))
        nn.init.zeros_(self.writing.weight)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(
        self, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"], writing: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T N"]:
        hidden = self.transformer.embed(ids) + self.writing(writing)
        hidden = self.transformer.run_blocks(hidden, 0, self.config.num_layers, mask=mask)
        scores: Tensor = self.score(self.transformer.final_norm(hidden))
        return scores.float()


@dataclass(frozen=True)
class NameRow:
    """A question and a message as ids, how each token's word is written, and the token's place in
    the message; (0, 0): it is the question's.
    """

    ids: list[int]
    writing: list[int]
    places: list[tuple[int, int]]


def name_row(tokenizer: Tokenizer, asked: str, message: str) -> NameRow:
    """Return the row of a message and the question before it ("": none), cut to MAX_TOKENS."""
    end = tokenizer.end_ids
    before = tokenizer.with_bos(tokenizer.encode(asked)[:MAX_QUESTION_TOKENS] if asked else [])
    before = [*before, *end]
    ids, places = tokenizer.encode_offsets(message)
    room = MAX_TOKENS - len(before) - len(end)
    ids, places = ids[:room], places[:room]
    written = [0] * len(message)
    for match in WORD.finditer(message):
        written[slice(*match.span())] = [_writing(match[0])] * len(match[0])
    own = [written[start] if start < len(written) else 0 for start, _ in places]
    nowhere = (0, 0)
    return NameRow(
        [*before, *ids, *end],
        [*[0] * len(before), *own, *[0] * len(end)],
        [*[nowhere] * len(before), *places, *[nowhere] * len(end)],
    )


def _writing(word: str) -> int:
    """Return 1 for a word in small letters, 2 with a capital, 3 in capitals, 0 for figures."""
    if not word[0].isalpha():
        return 0
    if word.islower():
        return 1
    return 3 if word.isupper() and len(word) > 1 else 2


class NameReader:
    """A reader of names that is open: `mark(question, message)`."""

    def __init__(self, scorer: NameScorer, tokenizer: Tokenizer) -> None:
        self.scorer, self.tokenizer = scorer.eval(), tokenizer
        self.mark = lru_cache(REMEMBERED)(self._mark)

    @torch.inference_mode()
    def _mark(self, asked: str, message: str) -> list[tuple[int, int]]:
        """Return the places of the names to be written down, in their order."""
        row = name_row(self.tokenizer, asked, message)
        device = self.scorer.score.weight.device
        ids, writing = (torch.tensor([each], device=device) for each in (row.ids, row.writing))
        scores = self.scorer(ids, torch.ones_like(ids, dtype=torch.bool), writing)[0]
        return spans_of(message, row, scores.cpu())


def spans_of(message: str, row: NameRow, scores: Float[Tensor, "T N"]) -> list[tuple[int, int]]:
    """Return the runs of words that are THE_NAME with a probability of LEAST, by the mean score of
    their tokens.
    """
    found: list[tuple[int, int]] = []
    for match in WORD.finditer(message):
        own = [
            place
            for place, (start, end) in enumerate(row.places)
            if start < match.end() and match.start() < end
        ]
        if not own or scores[own].mean(0).softmax(0)[THE_NAME] < LEAST:
            continue
        if found and _WITHIN.fullmatch(message, found[-1][1], match.start()):
            found[-1] = found[-1][0], match.end()
        else:
            found.append(match.span())
    return found


def open_name_reader(engine: Engine, folder: Path = PACKAGED) -> NameReader:
    """Open the reader in `folder` on an open encoder, whose weights are shared: the adapter is not
    merged into them, which takes a tenth more time and no memory.

    Raises FormatError for a damaged adapter, ModelError for another encoder.
    """
    scorer = NameScorer(shared_copy(encoder_of(engine))).to(engine.compute.device)
    verify_folder(folder)
    attach_lora_file(scorer, scorer.transformer, folder / ADAPTER_FILE)
    return NameReader(scorer, engine.opened.require_tokenizer())


def find_name_reader(engine: Engine) -> NameReader | None:
    """Return the reader of names for an encoder; None: the package has none. Raises FormatError."""
    with suppress(ModelError):
        return open_name_reader(engine)
    return None


def write_name_reader(
    scorer: NameScorer, folder: Path, base: dict[str, str], card: str, dtype: torch.dtype
) -> None:
    """Write the adapter, what was trained beside it and a card, atomically; as `write_reader`."""
    make_folder(folder)
    (folder / MANIFEST).unlink(missing_ok=True)
    write_lora_file(scorer, folder / ADAPTER_FILE, base, card, dtype)
    write_manifest(folder)
