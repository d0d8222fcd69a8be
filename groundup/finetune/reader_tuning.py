"""Tuning of the reader on an index's own documents: questions made from their tables, headings and
sentences, and those that customers asked, each with its nearest neighbours as passages that do not
answer.

    index -> passages -> `questions_from` + asked questions -> ReaderBatches -> fit() -> INDEX/reader/
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import DataError, ModelError
from groundup.finetune.reader_training import Library, ReaderBatches, ReaderQuestion, answer_loss
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import terms, words
from groundup.progress import Progress
from groundup.retrieve.cite import statement_text, statements
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.reader import (
    PACKAGED,
    TUNED,
    SentenceScorer,
    encoder_of,
    read_reader,
    write_reader,
)
from groundup.retrieve.tables import cells
from groundup.retrieve.vectors import PROBE, open_encoder, require_same
from groundup.retrieve.vectors_info import read_vectors_info
from groundup.runs import RunFolder
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps.config import FitConfig
from groundup.weights.adapter import base_hashes

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
