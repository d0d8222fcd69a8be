"""Tuning of the reader on an index's own documents: questions made from their tables, headings and
sentences, and those that customers asked, each with its nearest neighbours as passages that do not
answer.

    index -> passages -> `questions_from` + asked questions -> ReaderBatches -> fit() -> a reader
          -> better than the package's on the index's questions with known answers? INDEX/reader/

It is trained on questions with passages, and which of their sentences answer:

    L = -log( sum over answering i of exp(s_i) / (1 + sum over all i of exp(s_i)) )     of a question

(marginal likelihood of several right sentences, Clark and Gardner 2018, arXiv 1710.10723, with "no
answer" as one more choice of score 0); of a question whose answer is in none of its passages
L = -log(1 / (1 + sum exp(s_i))). The passages that don't answer are the nearest neighbours of the
question, so that near is not enough.
"""

import random
import shutil
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
from groundup.evaluate.paired import Difference, difference_line, share_difference
from groundup.files import sha256_text
from groundup.finetune.order import EpochBatches
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import terms, words
from groundup.model.lora import shared_copy
from groundup.packs.pack import MIN_QUESTIONS
from groundup.progress import Progress
from groundup.retrieve.answer import PASSAGES as READ_PASSAGES
from groundup.retrieve.calibration import answer_at_any_evidence, lowest, outcome_of_answer
from groundup.retrieve.cite import statement_text, statements
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import RIGHT, KnownQuestion, read_known_questions
from groundup.retrieve.passages import Passage
from groundup.retrieve.reader import (
    PACKAGED,
    TUNED,
    ReaderRow,
    SentenceScorer,
    encoder_of,
    joined_owners,
    open_reader,
    read_reader,
    reader_row,
    write_reader,
)
from groundup.retrieve.table_rows import cells
from groundup.retrieve.vectors import PROBE, Vectors, base_encoder, open_encoder, require_same
from groundup.retrieve.vectors_info import read_vectors_info
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps.config import FitConfig
from groundup.train.steps.step import LossSum
from groundup.weights.catalog import DEFAULT_ENCODER
from groundup.weights.lora_file import encoder_hashes

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


def asked_in(file: Path) -> list[AskedQuestion]:
    """Return the questions of a file of JSON lines that have an answer and a document, as
    `data make-questions` writes them. Raises DataError.
    """
    found = [
        AskedQuestion(each.question, each.answers[0], each.documents[0])
        for each in read_known_questions(file, may_be_made=True)
        if each.answers and each.documents
    ]
    if not found:
        raise DataError(f"{file} has no question with an answer and a document.")
    return found


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
        if asked.document not in (Path(passage.file).name, passage.document):
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


@dataclass(frozen=True)
class ReaderTuning:
    """What came of tuning: the tuned reader beside the package's on questions with known answers,
    each refusing at most MAX_REFUSED of those that documents answer.
    """

    trained_on: int
    """Questions, made and asked."""
    right: int
    """Of the known questions those whose first sentence was right with the package's reader, or
    that were refused where no document answers.
    """
    right_tuned: int
    """The same with the tuned one."""
    difference: Difference
    """Of the two shares, tuned less packaged, paired."""

    @property
    def is_kept(self) -> bool:
        """Whether the tuned reader is clearly better, and so the index's."""
        return self.difference.verdict() == "better"

    @property
    def text(self) -> str:
        """The result as a sentence."""
        line = difference_line(self.difference.plain())
        what = "it is the index's" if self.is_kept else "the package's reader stays"
        return (
            f"The reader tuned on {self.trained_on:,} questions is right on {self.right_tuned:,} of "
            f"the {self.difference.n:,} with known answers, the package's on {self.right:,}: "
            f"{line}, so {what}."
        )


def tune_reader(
    index: Index,
    known: Sequence[KnownQuestion],
    asked: Sequence[AskedQuestion] = (),
    *,
    compute: Compute,
    seed: int = 0,
    progress: Progress,
) -> ReaderTuning:
    """Train the package's reader further on the documents of an index and what was `asked` of them,
    and keep it in INDEX/reader/ if it answers the `known` questions clearly better; else the
    package's is the index's.

    Raises DataError for an index without text and for fewer than MIN_QUESTIONS known questions that
    documents answer, ModelError for an index without vectors or with those of another encoder,
    DiskError.
    """
    vectors_info = read_vectors_info(index.folder)
    if vectors_info is None:
        fix = f"Make them first: groundup index --out {index.folder} --vectors {DEFAULT_ENCODER}"
        raise ModelError(
            f"{index.folder} has no vectors, whose encoder the reader adapts.", fix=fix
        )
    engine = open_encoder(vectors_info.model, compute, progress)
    require_same(vectors_info, engine.embed([PROBE]).numpy()[0], "what has that name now")
    adapted = open_encoder(base_encoder(vectors_info.model), compute, progress)
    scorer = SentenceScorer(shared_copy(encoder_of(adapted)))
    base = encoder_hashes(scorer.transformer)
    scorer.requires_grad_(False)
    read_reader(scorer, PACKAGED)
    _require_known(index, known)
    passages = index.all_passages(0, index.counts().passages)
    if not passages:
        raise DataError(f"{index.folder} has no passages to tune the reader on.")
    questions = tuning_questions(passages, asked, engine, seed)
    for name, parameter in scorer.named_parameters():
        parameter.requires_grad_(".lora_" in name or name.startswith("score."))
    batches = ReaderBatches(questions, engine.tokenizer, batch_size=BATCH, seed=seed)
    _train(scorer, batches, compute, progress)
    card = f"tuned on {len(questions)} questions of {len(passages)} passages"

    def right_with(folder: Path) -> list[bool]:
        reader = open_reader(adapted, folder)
        vectors = Vectors(vectors_info, lambda texts: engine.embed(texts).numpy(), reader.scores)
        return answered_right(index, known, vectors, progress)

    with tempfile.TemporaryDirectory() as folder:
        write_reader(scorer, Path(folder), base, card)
        packaged, tuned = right_with(PACKAGED), right_with(Path(folder))
    difference = share_difference(packaged, tuned)
    found = ReaderTuning(len(questions), sum(packaged), sum(tuned), difference)
    if found.is_kept:
        write_reader(scorer, index.folder / TUNED, base, card)
    elif (index.folder / TUNED).exists():
        shutil.rmtree(index.folder / TUNED)
    return found


def _require_known(index: Index, known: Sequence[KnownQuestion]) -> None:
    """Raise DataError unless there are questions enough to compare two readers on."""
    count = sum(bool(each.answers) for each in known)
    if count < MIN_QUESTIONS:
        what = f"{index.folder} has {count} questions with known answers"
        raise DataError(
            f"{what}, and a tuned reader is compared on at least {MIN_QUESTIONS}.",
            fix=f"Give them: groundup index --out {index.folder} --questions FILE --tune (in a recipe "
            "known_answers).",
        )


def answered_right(
    index: Index, known: Sequence[KnownQuestion], vectors: Vectors, progress: Progress
) -> list[bool]:
    """Return of each question whether its first sentence is right, or whether it is refused where no
    document answers, at the least evidence that refuses at most MAX_REFUSED of the others.
    """
    answers = []
    with progress.track("comparison", len(known), "questions") as advance:
        for each in known:
            answers.append(answer_at_any_evidence(index, each.question, READ_PASSAGES, vectors))
            advance()
    least = lowest(
        [answer.evidence for each, answer in zip(known, answers, strict=True) if each.answers]
    )
    found = []
    for each, answer in zip(known, answers, strict=True):
        is_shown = answer.found and answer.evidence >= least
        is_right = outcome_of_answer(each, answer).name == RIGHT
        found.append(is_shown and is_right if each.answers else not is_shown)
    return found


def _train(
    scorer: SentenceScorer, batches: ReaderBatches, compute: Compute, progress: Progress
) -> None:
    """Train what of the scorer is trainable, one epoch."""
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
        hooks, run = Hooks(progress=progress), RunFolder(Path(folder))
        fit(scorer, batches, answer_loss, config, run, compute=compute, hooks=hooks)
    scorer.eval()
