"""Evaluation during training: the loss of a language model on held-out text, always on the same
windows, source by source; samples and tasks.

Loss a token depends on the tokenizer; bits per byte do not: all nats of the evaluated windows,
divided by ln 2 and by the UTF-8 bytes of the tokens that were predicted. An end-of-text token has
no bytes, but its loss is counted. Of packed documents the first token of each is not predicted, so
figures are not comparable with those of windows. The best checkpoint is chosen by validation, so
that its figure is too good by the choice; that of test, measured once at the end, is not.

The nats of pieces of the text are kept beside the figures (`pieces`), so that a reader of the log
can say how sure the difference between two evaluations is (report.live.validation_differences). A
piece is a draw from what the interval is about: a window where windows are drawn from a long split,
which it is then about; where the whole split is read, a document, and it is about texts like them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.data.batches.loader import IGNORED_LABEL, Batch, Windows
from groundup.data.batches.packing import PackedWindows, end_of_text
from groundup.data.batches.shards import ShardSet
from groundup.data.batches.spans import LabelAt, read_spans
from groundup.data.split import VALIDATION
from groundup.device import Compute
from groundup.errors import GroundupError, ModelError
from groundup.evaluate.metrics import bits_per_byte
from groundup.evaluate.task import EvaluationTask
from groundup.model.heads import LanguageModel
from groundup.model.linear_cross_entropy import label_cross_entropy
from groundup.model.matmul_precision import fast_matmul
from groundup.progress import Advance, Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.train.monitor.samples import Sampler
from groundup.train.steps.step import in_micro_batches, to_device
from groundup.weights.model_io import OpenModel

# The loss of single tokens has a standard deviation of some 2.5 nats: the mean of this many is known
# to about 2.5 / sqrt(16,384) = 0.02.
MAX_TOKENS = 16_384
# A source with fewer among them has no figure of its own: it would be known to worse than 2.5 /
# sqrt(512) = 0.11.
MIN_SOURCE_TOKENS = 512
# Pieces of which the nats are kept, 2 kB in a line of the log: neighbours are joined where there
# are more.
MAX_PIECES = 128


@dataclass(frozen=True)
class HeldOutRows:
    """Which rows of a split are evaluated, and how."""

    batch_size: int
    seed: int
    at_once: int | None = None
    """Rows that go through the model together; None: a batch."""
    packing: bool = False
    aside: Sequence[str] = ()
    """Sources that have figures of their own and do not count in the others: replayed text."""
    max_tokens: int | None = None
    """Of a longer split, windows of about so many tokens are drawn; None: MAX_TOKENS."""


@dataclass(frozen=True)
class HeldOutPieces:
    """For metrics.jsonl."""

    unit: str
    """What a piece is, or neighbours joined: "windows" or "documents"."""
    nats: Sequence[float]
    """Of each piece."""
    tokens: Sequence[int]


class Validation:
    """The validation (or test) split of a shard set. Raises DataError when it is shorter than one
    window.
    """

    def __init__(
        self,
        shards: ShardSet,
        tokenizer: Tokenizer,
        context_tokens: int,
        rows: HeldOutRows,
        *,
        compute: Compute,
        split: str = VALIDATION,
    ) -> None:
        kind = PackedWindows if rows.packing else Windows
        self.windows = kind(shards, split, context_tokens, rows.batch_size, rows.seed)
        self.compute = compute
        self.at_once = rows.at_once or rows.batch_size
        self.byte_counts = token_byte_counts(tokenizer)
        spans = read_spans(shards.folder, split, len(self.windows.tokens))
        self._label_at = LabelAt(spans or [("", len(self.windows.tokens))])
        self._sources = self.windows.over(self._label_at)
        self._aside = set(rows.aside)
        self._drawn: int | None = None  # batches; None: the whole split is read
        most = max(1, (rows.max_tokens or MAX_TOKENS) // (context_tokens * rows.batch_size))
        self._num_pieces = most * rows.batch_size
        self._numbered = self.windows
        if self.windows.num_windows > self._num_pieces:
            self._drawn = most
        else:
            documents = document_numbers(self.windows.tokens)
            self._numbered = self.windows.over(documents)
            self._num_pieces = int(documents[-1]) + 1
        self.pieces = HeldOutPieces("", [], [])
        """Of the last measurement."""

    def batches(self) -> Iterator[Batch]:
        """The same windows at every evaluation: the whole split, or where it is long, drawn from
        all over it.
        """
        return self._places(self.windows)

    @property
    def num_tokens(self) -> int:
        """Tokens that are predicted in an evaluation."""
        return sum(int((batch.labels != IGNORED_LABEL).sum()) for batch in self.batches())

    def _places(self, windows: Windows) -> Iterator[Batch]:
        if self._drawn is None:
            yield from windows.in_order()
        else:
            yield from (windows.batch(position) for position in range(self._drawn))

    def _parts(self, windows: Windows) -> Iterator[Batch]:
        for whole in self._places(windows):
            yield from in_micro_batches(whole, self.at_once)

    def _piece_numbers(self) -> Iterator[Int[Tensor, "B T"]]:
        """The piece of each label of each part."""
        rows = 0
        for part in self._parts(self._numbered):
            numbers = part.labels
            if self._drawn:
                each = torch.arange(rows, rows + len(part.labels))
                numbers, rows = each[:, None].expand_as(part.labels), rows + len(each)
            if self._num_pieces > MAX_PIECES:
                numbers = numbers * MAX_PIECES // self._num_pieces
            yield numbers

    def measure(self, model: LanguageModel) -> dict[str, float]:
        """validation_loss (nats per token), bits_per_byte, and bits_per_byte:SOURCE."""
        found = self.figures(model)
        return {
            "validation_loss": found["loss"],
            **{name: found[name] for name in found if "bits_per_byte" in name},
        }

    @torch.no_grad()
    def figures(self, model: LanguageModel, advance: Advance | None = None) -> dict[str, float]:
        """loss (nats per token), bits_per_byte, tokens, and bits_per_byte:SOURCE; `advance` counts
        tokens.
        """
        names, num_pieces = self._label_at.labels, min(self._num_pieces, MAX_PIECES)
        nats, tokens = np.zeros((2, len(names), num_pieces))
        num_bytes = np.zeros(len(names))
        read = self._parts(self.windows), self._parts(self._sources), self._piece_numbers()
        for batch, sources, pieces in zip(*read, strict=True):
            is_label = batch.labels != IGNORED_LABEL  # of padding: neither source nor piece
            source = sources.labels[is_label].numpy()
            place = source * num_pieces + pieces[is_label].numpy()
            losses = label_losses(model, to_device(batch, self.compute.device))
            counts = self.byte_counts[batch.labels[is_label]]
            nats += np.bincount(place, losses, nats.size).reshape(nats.shape)
            tokens += np.bincount(place, minlength=nats.size).reshape(nats.shape)
            num_bytes += np.bincount(source, counts, len(names))
            if advance:
                advance(len(source))
        counted = [
            i for i in range(len(names)) if names[i] not in self._aside and tokens[i].any()
        ] or list(range(len(names)))
        self.pieces = self._pieces(nats[counted].sum(0), tokens[counted].sum(0))
        nats, tokens = nats.sum(1), tokens.sum(1)  # [source]
        all_nats, all_tokens, all_bytes = (
            float(each[counted].sum()) for each in (nats, tokens, num_bytes)
        )
        figures = {
            "loss": all_nats / all_tokens,
            "bits_per_byte": bits_per_byte(all_nats, max(1, all_bytes)),
            "tokens": int(all_tokens),
        }
        enough = [
            i
            for i in range(len(names))
            if tokens[i] >= MIN_SOURCE_TOKENS and len(names) > 1 and num_bytes[i]
        ]
        return figures | {
            f"bits_per_byte:{names[i]}": bits_per_byte(nats[i], num_bytes[i]) for i in enough
        }

    def _pieces(self, nats: np.ndarray, tokens: np.ndarray) -> HeldOutPieces:
        """Without those of which no token is predicted."""
        unit, some = "documents", tokens > 0
        if self._drawn:
            unit = "windows"
        rounded = [round(each, 3) for each in nats[some].tolist()]
        return HeldOutPieces(unit, rounded, tokens[some].astype(int).tolist())


def label_losses(model: LanguageModel, batch: Batch) -> Float[np.ndarray, " N"]:
    """The nats of each label that counts, row by row, from one forward pass."""
    with fast_matmul(batch.ids.device):
        hidden = model.hidden(batch.ids, documents=batch.documents)  # [B, T, C]
        is_label = batch.labels != IGNORED_LABEL
        cap = model.config.logit_softcap
        losses = label_cross_entropy(
            hidden[is_label], model.head_weight, batch.labels[is_label], cap
        )
    return losses.double().cpu().numpy()


def document_numbers(tokens: np.ndarray) -> np.ndarray:
    """The document of each token; an end-of-text token is the last of its document.

    >>> document_numbers(np.array([5, 6, 0, 7, 0]))
    array([0, 0, 0, 1, 1])
    """
    is_end = np.asarray(tokens) == end_of_text(tokens)
    return np.cumsum(is_end) - is_end


def token_byte_counts(tokenizer: Tokenizer) -> Int[Tensor, " V"]:
    """The UTF-8 bytes of each id; 0 for control tokens."""
    control = set(tokenizer.special.tokens.values())
    counts = (
        0 if id in control else len(tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size)
    )
    return torch.tensor(list(counts))


@dataclass(frozen=True)
class Evaluation:
    validation: Validation
    sampler: Sampler
    tasks: Sequence[EvaluationTask] = ()
    test: Validation | None = None
    """Measured once at the end."""

    def measure(self, model: LanguageModel) -> dict[str, float]:
        """The validation figures, then TASK:METRIC. Raises ModelError where a task does not suit
        the model.
        """
        opened = OpenModel(
            model, self.sampler.tokenizer, model.config, Path("the model in training"), "language"
        )
        found = self.validation.measure(model)
        for task in self.tasks:
            try:
                outcome = task.measure(opened, compute=self.validation.compute, progress=Silent())
            except GroundupError as error:
                raise ModelError(
                    f"The task '{task.name}' can't be measured: {error.message}", fix=error.fix
                ) from error
            found |= {
                f"{task.name}:{measure.metric}": measure.value for measure in outcome.measures
            }
        return found

    def measure_test(self, model: LanguageModel, progress: Progress) -> dict[str, float] | None:
        if self.test is None:
            return None
        with progress.track("measuring on test", self.test.num_tokens, "tokens") as advance:
            return self.test.figures(model, advance)
