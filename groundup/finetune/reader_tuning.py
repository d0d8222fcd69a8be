"""Tuning of the reader on an index's own documents: questions made from their tables, headings and
sentences, and those that customers asked, each with its nearest neighbours as passages that do not
answer.

    index -> passages -> `questions_from` + asked questions -> ReaderBatches -> fit() -> INDEX/reader/

It is trained on questions with passages, and which of their sentences answer:

    L = -log( sum over answering i of exp(s_i) / (1 + sum over all i of exp(s_i)) )     of a question

(marginal likelihood of several right sentences, Clark and Gardner 2018, arXiv 1710.10723, with "no
answer" as one more choice of score 0); of a question whose answer is in none of its passages
L = -log(1 / (1 + sum exp(s_i))). The passages that don't answer are the nearest neighbours of the
question, so that near is not enough.
"""

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.padded_batch import batches_by_length, pad_right
from groundup.errors import DataError, ModelError
from groundup.files import sha256_text
from groundup.finetune.order import EpochBatches
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import terms, words
from groundup.progress import Progress
from groundup.retrieve.cite import statement_text, statements
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.reader import (
    PACKAGED,
    TUNED,
    ReaderRow,
    SentenceScorer,
    encoder_of,
    joined_owners,
    read_reader,
    reader_row,
    write_reader,
)
from groundup.retrieve.table_rows import cells
from groundup.retrieve.vectors import PROBE, open_encoder, require_same
from groundup.retrieve.vectors_info import read_vectors_info
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps.config import FitConfig
from groundup.train.steps.step import LossSum
from groundup.weights.adapter import base_hashes

# Passages behind the nearest, as an answer reads them, from which some are drawn.
FURTHER = 16
# Rows of a batch that are padded together: padding to the longest of all was half of the work.
GROUP_TOKENS = 2048


@dataclass(frozen=True)
class ReaderQuestion:
    """A question with the passages that are read for it."""

    question: str
    passages: tuple[Passage, ...]
    answers: frozenset[tuple[int, int]]
    """(passage, sentence) that answer; empty: the passages hold no answer."""


@dataclass(frozen=True)
class PaddedRows:
    """Rows of about equal length, and their number of sentences."""

    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    owners: Int[Tensor, "B T"]
    sentences: int


@dataclass(frozen=True)
class ReaderBatch:
    """The rows of several questions, in groups of about equal length."""

    groups: tuple[PaddedRows, ...]
    questions: Int[Tensor, " S"]
    """The question of each sentence, through all groups."""
    right: Bool[Tensor, " S"]
    """Whether it answers."""
    count: int
    """Questions."""


class ReaderBatches(EpochBatches):
    """Questions as batches, epoch after epoch in the order of (seed, epoch)."""

    def __init__(
        self,
        questions: Sequence[ReaderQuestion],
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._counts = [[len(statements(p)) for p in each.passages] for each in questions]
        self._rows = [
            [reader_row(tokenizer, each.question, passage) for passage in each.passages]
            for each in questions
        ]
        self._answers = [each.answers for each in questions]
        lengths = [sum(len(row.ids) for row in rows) for rows in self._rows]
        super().__init__(lengths, batch_size=batch_size, seed=seed)
        kept = [[(row.ids, row.owners) for row in rows] for rows in self._rows]
        answers = [sorted(each) for each in self._answers]
        self.fingerprint = sha256_text(f"{kept} {answers} {batch_size} {seed}")

    @property
    def epoch_tokens(self) -> int:
        """The number of questions in an epoch, each of which has one loss."""
        return len(self._rows)

    def batch(self, position: int) -> ReaderBatch:
        """Return batch number `position`."""
        chosen = self.indices(position)
        places = [
            (number, i, p) for number, i in enumerate(chosen) for p in range(len(self._rows[i]))
        ]
        lengths = [len(self._rows[i][place].ids) for _, i, place in places]
        groups: list[PaddedRows] = []
        questions: list[int] = []
        right: list[bool] = []
        for group in batches_by_length(lengths, GROUP_TOKENS):
            rows: list[ReaderRow] = []
            counts: list[int] = []
            for number, index, place in (places[each] for each in group):
                count = self._counts[index][place]
                rows.append(self._rows[index][place])
                counts.append(count)
                questions += [number] * count
                right += [(place, each) in self._answers[index] for each in range(count)]
            ids, mask = pad_right([row.ids for row in rows], torch.device("cpu"))
            groups.append(PaddedRows(ids, mask, joined_owners(rows, counts), sum(counts)))
        return ReaderBatch(tuple(groups), torch.tensor(questions), torch.tensor(right), len(chosen))


def answer_loss(model: nn.Module, batch: ReaderBatch) -> LossSum:
    """The loss of the module, summed over questions."""
    assert isinstance(model, SentenceScorer)
    scores = torch.cat([model(g.ids, g.mask, g.owners, g.sentences) for g in batch.groups])
    every = _log_sums(scores, batch.questions, batch.count, start=0.0)
    is_answered = torch.zeros(batch.count, dtype=torch.bool, device=scores.device)
    is_answered[batch.questions[batch.right]] = True
    right = _log_sums(scores[batch.right], batch.questions[batch.right], batch.count, start=-1e4)
    total = (every - torch.where(is_answered, right, torch.zeros_like(right))).sum()
    return LossSum(total, batch.count)


def _log_sums(scores: Tensor, groups: Tensor, count: int, *, start: float) -> Tensor:
    """Return log(exp(start) + sum of exp(score)) of each group."""
    first = torch.full((count,), start, device=scores.device)
    highest = first.scatter_reduce(0, groups, scores.detach(), "amax")
    sums = (first - highest).exp().index_add(0, groups, (scores - highest[groups]).exp())
    return sums.log() + highest


@dataclass(frozen=True)
class Library:
    """Passages that questions are asked of together, with the vectors of an encoder."""

    passages: Sequence[Passage]
    vectors: Float[Tensor, "P C"]

    @classmethod
    def of(cls, passages: Sequence[Passage], embed: Callable[[list[str]], Any]) -> "Library":
        """Embed the passages."""
        rows = embed([f"{each.title}\n{each.text}".strip() for each in passages])
        return cls(passages, torch.as_tensor(rows))

    def question(
        self,
        question: str,
        vector: Float[Tensor, " C"],
        answers: Mapping[int, AbstractSet[int]],
        *,
        count: int,
        is_answered: bool = True,
        draw: random.Random | None = None,
    ) -> ReaderQuestion:
        """Return a question with `count` passages: those that answer (at most two; none unless
        `is_answered`), and the nearest of the others; with `draw` only half of them are the
        nearest, and half are drawn from the FURTHER next ones.

        `answers`: passage -> its sentences that answer.
        """
        near = (self.vectors @ vector).argsort(descending=True).tolist()
        right = [i for i in near if i in answers][:2] if is_answered else []
        others = [i for i in near if i not in answers]
        room = count - len(right)
        if draw is not None:
            nearest = others[: (room + 1) // 2]
            further = others[len(nearest) : len(nearest) + FURTHER]
            others = nearest + draw.sample(further, min(room // 2, len(further)))
        others = others[:room]
        found = frozenset(
            (place, each) for place, index in enumerate(right) for each in answers[index]
        )
        passages = tuple(self.passages[i] for i in [*right, *others])
        return ReaderQuestion(question, passages, found)


# About two minutes on two cores, whatever the number of documents.
MAX_QUESTIONS, PASSAGES, BATCH = 320, 5, 8
LEARNING_RATE = 3e-4
# Made questions an asked one, so that templates do not outweigh what customers wrote.
MADE_PER_ASKED = 1.0
# The share of an answer's words that a sentence must have to be the one that it was written from.
MIN_SHARE = 0.5
KEYWORDS = 4
CELL_FORMS = (
    "what is the {column} for {row}?",
    "{row} {column}",
    "{column} of {row}?",
    "can you tell me the {column} for {row}",
)


@dataclass(frozen=True)
class AskedQuestion:
    """A question that a customer asked, and the answer that was written from a document."""

    question: str
    answer: str
    document: str


@dataclass(frozen=True)
class MarkedQuestion:
    """A question and the sentences that answer it: passage -> sentences."""

    question: str
    answers: dict[int, frozenset[int]]


def questions_from(passages: Sequence[Passage], draw: random.Random) -> Iterator[MarkedQuestion]:
    """Yield questions that templates make of documents: of the cells of tables, of headings that
    ask or name a subject, and of the rarest words of sentences.
    """
    counts: dict[str, int] = {}
    for passage in passages:
        for term in set(terms(passage.text, passage.language)):
            counts[term] = counts.get(term, 0) + 1
    for number, passage in enumerate(passages):
        found = statements(passage)
        heading = passage.title.rsplit(" > ", 1)[-1]
        if len(found) and 2 <= len(heading.split()) <= 14:
            plain = frozenset(range(min(len(found), 4)))
            yield MarkedQuestion(heading, {number: plain})
        for place, each in enumerate(found):
            if each.text.startswith("|") and each.head:
                names, values = cells(passage.text[slice(*each.head)]), cells(each.text)
                if len(names) == len(values) > 1 and values[0]:
                    column = draw.randrange(1, len(values))
                    form = draw.choice(CELL_FORMS)
                    asked = form.format(row=values[0], column=names[column]).lower()
                    yield MarkedQuestion(asked, {number: frozenset([place])})
            elif len(each.text.split()) >= 8:
                own = [word for word in dict.fromkeys(words(each.text)) if len(word) > 2]
                stops = STOP_WORDS.get(passage.language, frozenset())
                own = [word for word in own if word not in stops]
                rare = sorted(own, key=lambda word: counts.get(word, 0))[:KEYWORDS]
                asked = " ".join(word for word in own if word in rare)
                yield MarkedQuestion(asked, {number: frozenset([place])})


def mark(passages: Sequence[Passage], asked: AskedQuestion) -> MarkedQuestion | None:
    """Return a question with the sentences of its document that share most words with its answer;
    None: none has at least MIN_SHARE of them.
    """
    wanted = {word for word in words(asked.answer) if word not in STOP_WORDS["en"]}
    best, found = 0.0, None
    for number, passage in enumerate(passages):
        if Path(passage.file).name != asked.document:
            continue
        for place, each in enumerate(statements(passage)):
            own = set(words(f"{each.above} {statement_text(passage, each)}"))
            share = len(wanted & own) / max(1, len(wanted))
            if share > best:
                best, found = share, (number, place)
    if found is None or best < MIN_SHARE:
        return None
    return MarkedQuestion(asked.question, {found[0]: frozenset([found[1]])})


def tuning_questions(
    passages: Sequence[Passage], asked: Sequence[AskedQuestion], engine: Engine, seed: int
) -> list[ReaderQuestion]:
    """Return at most MAX_QUESTIONS questions with their passages; a sixth without their answer."""
    draw = random.Random(seed)
    marked = [found for each in asked if (found := mark(passages, each)) is not None]
    draw.shuffle(marked)
    marked = marked[:MAX_QUESTIONS]
    made = list(questions_from(passages, draw))
    draw.shuffle(made)
    room = max(0, MAX_QUESTIONS - len(marked))
    if marked:
        room = min(room, round(MADE_PER_ASKED * len(marked)))
    marked += made[:room]
    library = Library.of(passages, engine.embed)
    vectors = engine.embed([each.question for each in marked])
    return [
        library.question(
            each.question, vector, each.answers, count=PASSAGES, is_answered=draw.random() > 1 / 6
        )
        for each, vector in zip(marked, vectors, strict=True)
    ]


def tune_reader(
    index: Index,
    asked: Sequence[AskedQuestion] = (),
    *,
    compute: Compute,
    seed: int = 0,
    progress: Progress,
) -> int:
    """Train the package's reader further on the documents of an index, into INDEX/reader/, and
    return on how many questions.

    Raises DataError for an index without text, ModelError for one without vectors or with those of
    another encoder, DiskError.
    """
    known = read_vectors_info(index.folder)
    if known is None:
        fix = f"Make them first: groundup index --out {index.folder} --vectors all-minilm-l6-v2"
        raise ModelError(
            f"{index.folder} has no vectors, whose encoder the reader adapts.", fix=fix
        )
    engine = open_encoder(known.model, compute, progress)
    require_same(known, engine.embed([PROBE]).numpy()[0], "what has that name now")
    count = index.counts().passages
    passages = index.all_passages(0, count)
    if not passages:
        raise DataError(f"{index.folder} has no passages to tune the reader on.")
    questions = tuning_questions(passages, asked, engine, seed)
    scorer = SentenceScorer(encoder_of(engine))
    base = base_hashes(scorer.transformer)
    scorer.requires_grad_(False)
    read_reader(scorer, PACKAGED)
    for name, parameter in scorer.named_parameters():
        parameter.requires_grad_(".lora_" in name or name.startswith("score."))
    batches = ReaderBatches(questions, engine.tokenizer, batch_size=BATCH, seed=seed)
    steps = batches.batches_per_epoch
    config = FitConfig(steps).with_fields(
        {
            "batch_size": BATCH,
            "optimizer": {"name": "adamw", "learning_rate": LEARNING_RATE, "weight_decay": 0.0},
            "schedule": {"name": "cosine"},
            "precision": "float32",
            "compile": "off",
            "evaluate_every": steps,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        scorer.train()
        fit(
            scorer,
            batches,
            answer_loss,
            config,
            RunFolder(Path(folder)),
            compute=compute,
            hooks=Hooks(progress=progress),
        )
    card = f"tuned on {len(questions)} questions of {count} passages"
    write_reader(scorer, index.folder / TUNED, base, card)
    return len(questions)
