"""Answers with and without documents: a model's exact match and F1 on SQuAD, and what of them `ask` shows.

python benchmarks/retrieve_answers.py [--questions 100] [--model smollm2-135m-instruct] [--encoder all-minilm-l6-v2] [--precision bf16] [--json OUT]

The first questions of SQuAD, each asked (a) without documents, in a few words; (b) with the best passage before it, too; (c) by `ask` on the index
of all 803 paragraphs. Exact match and F1 are SQuAD's (Rajpurkar et al. 2016: no case, articles, punctuation); an answer of `ask` is a sentence,
so it is said how often an accepted answer stands in it. Checked again from outside: each quotation shown is a span of a document, and each sentence
shown has no number, date or name that its passage lacks.
Support: all sentences that pass the check of facts, with their support; kept are those that contain an accepted answer, by threshold, on even and odd
questions.
"""

import argparse
import json
import re
import string
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measure import machine
from retrieve import indexed, table
from retrieve_sets import Asked, squad
from spine import describe

from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.precision import as_precision_choice, open_in
from groundup.engine.sampling import Sampling
from groundup.progress import Silent
from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.cite import missing_facts
from groundup.retrieve.index import Index
from groundup.retrieve.search import find
from groundup.retrieve.vectors import Vectors, embed_with, make_vectors
from groundup.retrieve.vectors_info import read_vectors_info
from groundup.tokenizer.chat import Conversation, Message

CPU = Compute(torch.device("cpu"))
SYSTEM = "Answer the question in as few words as possible."
SHORT = Sampling(temperature=0.0, max_tokens=24)
# Every sentence is wanted, whatever its support.
ALL = AskConfig(min_support=-100.0, max_tokens=64)
THRESHOLDS = (-1.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True)
class Written:
    """What was written to a question."""

    asked: Asked
    alone: str
    given: str
    answer: Answer


def normalised(text: str) -> str:
    """SQuAD's: lower case, no punctuation, no articles, single spaces."""
    kept = "".join(" " if each in string.punctuation else each for each in text.lower())
    return " ".join(_ARTICLES.sub(" ", kept).split())


def f1(said: str, answers: Sequence[str]) -> float:
    """The highest F1 of words shared with an accepted answer."""
    return max(_f1(normalised(said).split(), normalised(each).split()) for each in answers)


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    same = sum((Counter(said) & Counter(wanted)).values())
    return 2 * same / (len(said) + len(wanted)) if same else 0.0


def has_answer(text: str, answers: Sequence[str]) -> bool:
    """Whether an accepted answer stands in a text, as whole words."""
    return any(f" {normalised(each)} " in f" {normalised(text)} " for each in answers)


def said(engine: Engine, question: str, passage: str = "") -> str:
    """The model's short answer."""
    asked = f"{passage}\n\nQuestion: {question}" if passage else question
    conversation = Conversation((Message("system", SYSTEM), Message("user", asked)))
    return "".join(event.text for event in engine.chat(conversation, SHORT)).strip()


def written(index: Index, engine: Engine, asked: Asked, vectors: Vectors) -> Written:
    """Ask a question in the three ways."""
    best = find(index, asked.question, 1, vectors.mixture()).passages
    *_, answer = ask(index, asked.question, engine, ALL, rank_by=vectors.mixture(), vectors=vectors)
    assert isinstance(answer, Answer)
    alone, given = (
        said(engine, asked.question),
        said(engine, asked.question, best[0].text if best else ""),
    )
    return Written(asked, alone, given, answer)


def short_answers(rows: Sequence[Written]) -> dict[str, dict[str, float]]:
    """Exact match, F1 and the share that has an accepted answer: without documents, with the best passage."""
    found = {}
    for name, texts in (
        ("without documents", [row.alone for row in rows]),
        ("with passage", [row.given for row in rows]),
    ):
        pairs = [(text, row.asked.answers) for text, row in zip(texts, rows, strict=True)]
        exact = [
            any(normalised(text) == normalised(each) for each in answers) for text, answers in pairs
        ]
        shares = (exact, [f1(*pair) for pair in pairs], [has_answer(*pair) for pair in pairs])
        found[name] = dict(zip(("exact", "F1", "has the answer"), map(mean, shares), strict=True))
    return found


def shown(rows: Sequence[Written], min_support: float) -> dict[str, dict[str, float]]:
    """What `ask` shows, and how often it has an accepted answer."""
    found = [row for row in rows if row.answer.found]
    quotes = [" ".join(each.text for each in row.answer.quotes) for row in rows]
    own = [
        " ".join(each.text for each in row.answer.sentences if each.support >= min_support)
        for row in rows
    ]
    has = {
        name: [has_answer(text, row.asked.answers) for text, row in zip(texts, rows, strict=True)]
        for name, texts in (
            ("quotations", quotes),
            ("sentences", own),
            ("either", [" ".join(pair) for pair in zip(quotes, own, strict=True)]),
        )
    }
    return {
        "questions answered": {"share": len(found) / len(rows)},
        "with a sentence of the model": {"share": mean([bool(text) for text in own])},
        **{f"answer in {name}": {"share": mean(each)} for name, each in has.items()},
        "shown parts that hold": {"share": mean(holds(rows, min_support))},
    }


def holds(rows: Sequence[Written], min_support: float) -> list[bool]:
    """Of each quotation whether it is a span of its source, of each sentence whether its source has its facts."""
    found = []
    for row in rows:
        sources = row.answer.sources
        for quote in row.answer.quotes:
            source = sources[quote.source - 1]
            found.append(
                source.text[quote.start - source.start : quote.end - source.start] == quote.text
            )
        for each in row.answer.sentences:
            found += (
                [not missing_facts(each.text, sources[each.source - 1])]
                if each.support >= min_support
                else []
            )
    return found


def support(rows: Sequence[Written]) -> dict[str, dict[str, float]]:
    """By threshold the share kept of sentences with an accepted answer and of others, on even and odd questions."""
    found: dict[str, dict[str, float]] = {}
    for name, half in (("even", rows[::2]), ("odd", rows[1::2])):
        pairs = [
            (each.support, has_answer(each.text, row.asked.answers))
            for row in half
            for each in row.answer.sentences
        ]
        for at in THRESHOLDS:
            for kind, wanted in (("with the answer", True), ("others", False)):
                kept = [value >= at for value, has in pairs if has == wanted]
                found.setdefault(f"{at}", {})[f"{name}, {kind}"] = mean(kept)
    return found


def mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def main() -> None:
    """Measure, print it, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--encoder", default="all-minilm-l6-v2")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    about_machine = machine()
    print(describe(about_machine))
    engine = Engine(*open_in(as_precision_choice(options.precision), options.model, CPU))
    [texts] = squad()
    embed = embed_with(options.encoder, CPU, Silent())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        index, _ = indexed(texts.texts, Path(folder))
        make_vectors(index.folder, embed, options.encoder, progress=Silent())
        known = read_vectors_info(index.folder)
        assert known is not None
        with index:
            vectors = Vectors(known, embed)
            for number, each in enumerate(texts.asked[: options.questions]):
                rows.append(written(index, engine, each, vectors))
                if number % 10 == 9:
                    print(f"{number + 1} questions", file=sys.stderr, flush=True)
    default = AskConfig().min_support
    tables: dict[str, Any] = {
        "short answers": short_answers(rows),
        "ask": shown(rows, default),
        "support": support(rows),
    }
    for name, found in tables.items():
        print(f"\n{name}\n\n{table(found)}", flush=True)
    if options.json is not None:
        plain = [
            {
                "question": row.asked.question,
                "answers": row.asked.answers,
                "alone": row.alone,
                "given": row.given,
            }
            | {"answer": row.answer.to_plain()}
            for row in rows
        ]
        written_down = {
            "machine": about_machine,
            "model": options.model,
            "tables": tables,
            "rows": plain,
        }
        options.json.write_text(json.dumps(written_down, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
