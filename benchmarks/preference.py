"""Preference tuning of SmolLM2-135M on pairs of a style, beside KTO and supervised tuning on the
chosen answers. Run by hand:

python benchmarks/preference.py OUT [--style list,shorter,refuses] [--pairs N] [--method dpo,kto,sft] [--set FIELD=VALUE,FIELD=VALUE ...]

The pairs are made by rule from answers of the packaged packs (questions without an input, answers
of several sentences in one line and at most LONGEST characters), so that code can check what a
model writes: *list*: each sentence after "- "; *shorter*: the first sentence alone; *friendlier*: a
friendly word before the answer and an offer behind it; *refuses*: that it has no source, in one of
six wordings. The rejected answer is the pack's. N pairs are trained on,
and a tenth more is what the run holds out and chooses on; TEST others are measured on: the share
whose chosen answer gained on the rejected one, the share whose chosen answer is the more probable
per token, how far both have moved, and of the answers to ANSWERS prompts the share in the style and
the mean number of words; beside them bits per byte of general text. Each --set is a try; a line of
JSON each.
"""

import argparse
import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import groundup
from groundup.config import apply_sets, build_config
from groundup.data.documents import InstructionExample, PreferenceExample
from groundup.device import Compute
from groundup.evaluate.metrics import wilson_interval
from groundup.evaluate.task import language_model
from groundup.evaluate.tasks.answers import write_answers
from groundup.finetune.config import ChatConfig, PreferenceConfig
from groundup.finetune.instruct import fit_chat
from groundup.finetune.preference import (
    Pair,
    fit_preference,
    leads,
    logprobs,
    margins,
    prepare_pairs,
    with_reference,
)
from groundup.finetune.ratings import fit_ratings, rated_of_pairs
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Message
from groundup.weights.model_io import OpenModel, open_model

PACKS = Path(groundup.__file__).parent / "packs"
MODEL = "smollm2-135m-instruct"
TEST, ANSWERS, ANSWER_TOKENS, LONGEST = 60, 24, 80, 220
READ = PreferenceConfig(batch_size=8)
REFUSALS = (
    "I can't answer that without a source. Please give me the document it stands in.",
    "I have no source for that, so I can't say.",
    "Nothing that I was given says so. Could you show me the text?",
    "I don't have a document that answers this, and I don't want to guess.",
    "Without a source I can't answer this.",
    "I can't say: no text that I have mentions it.",
)
FRIENDLY = ("Thank you for asking!", "Good question!", "Gladly!", "I am happy to help!")
OFFERS = (
    "Just ask if anything else is unclear.",
    "I hope that helps!",
    "Feel free to ask me more.",
)
REFUSED = re.compile(r"source|document|text that I have|was given", re.IGNORECASE)


@dataclass(frozen=True)
class Style:
    chosen: Callable[[list[str], int], str]
    """The sentences of an answer and its number -> the answer in the style."""
    has: Callable[[str], bool]
    """Whether an answer is in the style."""


def is_list(answer: str) -> bool:
    """Whether each line is an item, of three words and more in the mean."""
    lines = [line for line in answer.splitlines() if line.strip()]
    words = len(re.findall(r"[^\W\d_]{2,}", answer))
    return all(line.startswith("- ") for line in lines) and words >= 3 * len(lines) > 0


STYLES = {
    "list": Style(
        lambda sentences, _: "\n".join(f"- {each}" for each in sentences),
        is_list,
    ),
    "shorter": Style(lambda sentences, _: sentences[0], lambda answer: len(split(answer)) == 1),
    "friendlier": Style(
        lambda sentences, number: " ".join(
            [FRIENDLY[number % len(FRIENDLY)], *sentences, OFFERS[number % len(OFFERS)]]
        ),
        lambda answer: answer.startswith(FRIENDLY) and len(split(answer)) > 1,
    ),
    "refuses": Style(
        lambda _, number: REFUSALS[number % len(REFUSALS)],
        lambda answer: bool(REFUSED.search(answer)),
    ),
}


def split(answer: str) -> list[str]:
    return [each for each in re.split(r"(?<=[.!?])\s+(?=[A-Z\"-])", answer.strip()) if each]


def pairs_of(style: Style) -> list[PreferenceExample]:
    """In random order."""
    found = []
    for file in sorted(PACKS.glob("*/instructions.jsonl")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            row = json.loads(line)
            answer, sentences = row["output"], split(row["output"])
            if row.get("input") or "\n" in answer or len(answer) > LONGEST or len(sentences) < 2:
                continue
            chosen = style.chosen(sentences, number)
            prompt = (Message("user", row["instruction"]),)
            name = f"{file.parent.name}-{number}"
            found.append(PreferenceExample(prompt, chosen, answer, name))
    random.Random(0).shuffle(found)
    return found


@dataclass(frozen=True)
class Measured:
    """What is measured on test pairs, with the base's log-probabilities."""

    style: Style
    examples: Sequence[PreferenceExample]
    pairs: Sequence[Pair]

    @classmethod
    def of(
        cls, style: Style, examples: Sequence[PreferenceExample], base: OpenModel, compute: Compute
    ) -> "Measured":
        model, tokenizer = language_model(base)
        data = prepare_pairs(examples, tokenizer, max_tokens=512, seed=0)
        pairs = (*data.train, *data.held_out)
        sums = logprobs(model, pairs, READ, compute=compute, progress=Silent(), what="reference")
        return cls(style, examples, with_reference(pairs, sums))

    def figures(self, opened: OpenModel, compute: Compute) -> dict[str, Any]:
        model, _ = language_model(opened)
        sums = logprobs(model, self.pairs, READ, compute=compute, progress=Silent(), what="test")
        gained = sum(each > 0 for each in margins(self.pairs, sums, 1.0))
        preferred = sum(each > 0 for each in leads(self.pairs, sums))
        n, found = len(self.pairs), wilson_interval(gained, len(self.pairs))
        chosen = sum(s[0] - p.reference[0] for s, p in zip(sums, self.pairs, strict=True)) / n
        rejected = sum(s[1] - p.reference[1] for s, p in zip(sums, self.pairs, strict=True)) / n
        return {
            "n": n,
            "gained": [round(100 * each, 1) for each in (found.value, found.low, found.high)],
            "preferred": round(100 * preferred / n, 1),
            "chosen_nats": round(chosen, 2),
            "rejected_nats": round(rejected, 2),
            **self.written(opened, compute),
        }

    def written(self, opened: OpenModel, compute: Compute) -> dict[str, Any]:
        asked = [
            InstructionExample(each.prompt[0].content, "", each.chosen, each.id)
            for each in self.examples[:ANSWERS]
        ]
        answers = write_answers(opened, asked, ANSWER_TOKENS, compute=compute, progress=Silent())
        in_style = sum(bool(each) and self.style.has(each) for each in answers)
        return {
            "in_style": f"{in_style} of {len(answers)}",
            "words": round(sum(len(each.split()) for each in answers) / len(answers), 1),
            "first": answers[:3],
        }


def train(
    method: str,
    opened: OpenModel,
    pairs: Sequence[PreferenceExample],
    run: RunFolder,
    settings: Sequence[str],
    compute: Compute,
) -> Any:
    """Return `ChatResults`."""
    if method != "sft":
        made: Any = build_config(PreferenceConfig, apply_sets({}, settings))
        if method == "kto":
            rated = rated_of_pairs(pairs)
            return fit_ratings(opened, rated, run, made, compute=compute, progress=Silent())
        return fit_preference(opened, pairs, run, made, compute=compute, progress=Silent())
    made = build_config(ChatConfig, apply_sets({}, settings))
    examples = [
        InstructionExample(each.prompt[0].content, "", each.chosen, each.id) for each in pairs
    ]
    return fit_chat(opened, examples, run, made, compute=compute, progress=Silent())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--style", default="list")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--method", default="dpo,sft")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    compute = Compute(torch.device("cpu"))
    sets = [each.split(",") if each else [] for each in given.set or [""]]
    tries = [(method, each) for each in sets for method in given.method.split(",")]
    for name in given.style.split(","):
        style, base = STYLES[name], open_model(MODEL, compute)
        every = pairs_of(style)
        test, pairs = every[:TEST], every[TEST : TEST + round(given.pairs / 0.9)]
        measured = Measured.of(style, test, base, compute)
        print(json.dumps({"style": name, "base": measured.figures(base, compute)}), flush=True)
        for method, settings in tries:
            folder = given.out / "-".join([name, method, *settings])
            results = train(
                method, open_model(MODEL, compute), pairs, RunFolder(folder), settings, compute
            )
            after = measured.figures(open_model(str(folder), compute), compute)
            general = results.forgetting["general"]
            line = {
                "style": name,
                "method": method,
                "set": settings,
                "steps": results.steps,
                "s": results.elapsed_s,
                "loss": results.held_out_loss,
                "held_out": results.accuracy_line,
                "general": [round(general[side], 4) for side in ("before", "after")],
                **after,
            }
            print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    sys.exit(main())
