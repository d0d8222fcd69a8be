"""The reader: says of each sentence of some passages whether it answers a question.

    [CLS] question [SEP] headings, sentence 1, sentence 2, ... [SEP]     one row a passage
        -> encoder with a LoRA adapter -> hidden states [T, C]
        -> of each sentence the mean of its tokens' states, and the state of [CLS] -> a score

A cross-encoder (Nogueira and Cho 2019, arXiv 1901.04085) that reads question and passage together:
what it says of a sentence depends on the headings above and the sentences around it. With the
scores s_i of all sentences that are read for a question

    P(sentence i answers) = exp(s_i) / (1 + sum_j exp(s_j)),    P(none does) = 1 / (1 + sum_j ...)

(the "no answer" score fixed at 0, as in extractive readers for SQuAD 2.0). The package has an
adapter of all-minilm-l6-v2 and one of all-mpnet-base-v2 in `reader_adapters/`, each with a card that
says how it was made; `index --tune` trains the first further on an index's own documents
(`finetune/reader_tuning.py`), and the second reads beside it where an index names its encoder
(`second_reader.py`).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.device import Compute, bf16_products
from groundup.engine.engine import Engine
from groundup.engine.padded_batch import batches_by_length, pad_right
from groundup.errors import ModelError
from groundup.files import MANIFEST, make_folder, verify_folder, write_manifest
from groundup.model.heads import Encoder
from groundup.model.lora import LoRALinear, merge_lora, shared_copy
from groundup.retrieve.cite import statement_text, statements
from groundup.retrieve.index import ADAPTER_FILE, TUNED
from groundup.retrieve.passages import Passage
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.lora_file import attach_lora_file, write_lora_file

# Beside the passage's: enough for any question that a customer types.
MAX_QUESTION_TOKENS, MAX_TOKENS = 96, 400
ADAPTERS = Path(__file__).with_name("reader_adapters")
PACKAGED = ADAPTERS / "all-minilm-l6-v2"
RANK, ALPHA = 16, 32.0
OTHER = -1
"""The sentence that a token belongs to, where it is the question's or a heading's."""
ReadPassages = Callable[[str, Sequence[Passage]], list[tuple[float, ...]]]
"""A function of a question and passages that returns a score for each sentence, in nats."""


class SentenceScorer(nn.Module):
    """Rows of ids -> a score of each sentence in them."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.config = encoder.config
        self.transformer = encoder.transformer
        self.score = nn.Linear(2 * encoder.config.width, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        owners: Int[Tensor, "B T"],
        count: int,
    ) -> Float[Tensor, " S"]:
        """Return the scores of `count` sentences; `owners`: which of them each token belongs to,
        or OTHER.
        """
        hidden = self.transformer(ids, mask=mask)
        owned = owners != OTHER
        of_tokens, places = owners[owned], owned.nonzero()[:, 0]
        sums = torch.zeros(count, hidden.shape[-1], dtype=torch.float32, device=ids.device)
        sums = sums.index_add(0, of_tokens, hidden[owned].float())
        sizes = of_tokens.bincount(minlength=count).clamp(min=1)
        rows = torch.zeros(count, dtype=torch.long, device=ids.device)
        rows[of_tokens] = places
        features = torch.cat([sums / sizes[:, None], hidden[rows, 0].float()], dim=1)
        scores: Tensor = self.score(features)
        return scores[:, 0].float()


@dataclass(frozen=True)
class ReaderRow:
    """A question and a passage as ids, and the sentence that each id belongs to."""

    ids: list[int]
    owners: list[int]


def reader_row(tokenizer: Tokenizer, question: str, passage: Passage) -> ReaderRow:
    """Return the row of a question and a passage, cut to MAX_TOKENS; headings between sentences
    stand before those that they are above.
    """
    end = tokenizer.end_ids
    ids = [*tokenizer.with_bos(tokenizer.encode(question)[:MAX_QUESTION_TOKENS]), *end]
    owners, shown = [OTHER] * len(ids), {passage.title}

    def add(text: str, owner: int) -> None:
        found = tokenizer.encode(text)
        ids.extend(found)
        owners.extend([owner] * len(found))

    add(passage.title, OTHER)
    for number, each in enumerate(statements(passage)):
        for line in each.above.removeprefix(passage.title).split("\n"):
            if line.strip() and line not in shown and not line.startswith("|"):
                shown.add(line)
                add(line, OTHER)
        shown.add(each.text)
        add(statement_text(passage, each), number)
    room = MAX_TOKENS - len(end)
    return ReaderRow([*ids[:room], *end], [*owners[:room], *[OTHER] * len(end)])


def joined_owners(rows: Sequence[ReaderRow], counts: Sequence[int]) -> Int[Tensor, "B T"]:
    """Return the sentence of each token of padded rows, numbered through all rows; `counts`:
    sentences of each.
    """
    longest = max(len(row.ids) for row in rows)
    owners = torch.full((len(rows), longest), OTHER)
    first = 0
    for place, (row, count) in enumerate(zip(rows, counts, strict=True)):
        own = torch.tensor(row.owners)
        owners[place, : len(row.owners)] = torch.where(own == OTHER, OTHER, own + first)
        first += count
    return owners


class Reader:
    """A reader that is open: `scores(question, passages)`."""

    def __init__(
        self, scorer: SentenceScorer, tokenizer: Tokenizer, compute: Compute, sha256: str = ""
    ) -> None:
        """`sha256`: of its file; "": it was not read from one."""
        self.scorer, self.tokenizer, self.compute = scorer.eval(), tokenizer, compute
        self.sha256 = sha256

    @torch.inference_mode()
    def scores(self, question: str, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        """Return of each passage the scores of its `statements`, in nats; a sentence behind the cut
        has the lowest of all.
        """
        counts = [len(statements(passage)) for passage in passages]
        rows = [reader_row(self.tokenizer, question, passage) for passage in passages]
        found: list[tuple[float, ...]] = [()] * len(passages)
        for batch in batches_by_length([len(row.ids) for row in rows]):
            ids, mask = pad_right([rows[i].ids for i in batch], self.compute.device)
            own = [counts[i] for i in batch]
            owners = joined_owners([rows[i] for i in batch], own).to(self.compute.device)
            with bf16_products(self.compute):
                scores = self.scorer(ids, mask, owners, sum(own)).float()
            for i, each in zip(batch, scores.cpu().split(own), strict=True):
                found[i] = tuple(each.tolist())
        return found


def open_reader(engine: Engine, folder: Path = PACKAGED) -> Reader:
    """Open the reader in `folder` on an open encoder, whose weights are shared but for the blocks.

    Raises FormatError for a damaged adapter, ModelError for another encoder.
    """
    scorer = SentenceScorer(shared_copy(encoder_of(engine)))
    sha256 = read_reader(scorer, folder)
    for part in scorer.modules():
        if isinstance(part, LoRALinear):  # merging must not change the encoder's own weights
            assert isinstance(part.base, nn.Linear)
            part.base.weight = nn.Parameter(part.base.weight.detach().clone())
    merge_lora(scorer)
    return Reader(scorer, engine.opened.require_tokenizer(), engine.compute, sha256)


def encoder_of(engine: Engine) -> Encoder:
    """Return the encoder of an engine. Raises ModelError."""
    encoder = engine.opened.model
    if not isinstance(encoder, Encoder):
        raise ModelError(f"{engine.opened.path} is no encoder; the reader is an adapter of one.")
    return encoder


def find_reader(engine: Engine, index: Path) -> Reader | None:
    """Return the reader that was tuned for the index in a folder, or one of the package; None: the
    encoder is another one than they were trained on. Raises FormatError.
    """
    for folder in (index / TUNED, *sorted(ADAPTERS.iterdir())):
        if (folder / ADAPTER_FILE).is_file():
            with suppress(ModelError):  # trained on another encoder
                return open_reader(engine, folder)
    return None


def read_reader(scorer: SentenceScorer, folder: Path) -> str:
    """Put the adapter and the score of a folder into a scorer; return the SHA-256 of their file.
    Raises FormatError, ModelError.
    """
    listed = verify_folder(folder)
    attach_lora_file(scorer, scorer.transformer, folder / ADAPTER_FILE)
    return str(listed[ADAPTER_FILE]["sha256"])


def write_reader(
    scorer: SentenceScorer,
    folder: Path,
    base: dict[str, str],
    card: str,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write the adapter, the score and a card, atomically; `base`: `encoder_hashes` of its
    transformer, `dtype`: of the numbers in the file. Raises DiskError.
    """
    make_folder(folder)
    (folder / MANIFEST).unlink(missing_ok=True)
    write_lora_file(scorer, folder / ADAPTER_FILE, base, card, dtype)
    write_manifest(folder)
