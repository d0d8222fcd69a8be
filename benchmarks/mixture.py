"""Shares that a search finds against proportional ones at equal processor time, the search counted: three collections, each with dirty sources.

python benchmarks/mixture.py OUT [--seconds 240] [--seeds 3] [--only plays]

OUT/NAME holds the texts and the search; what is done is kept, and the same command goes on. A run with proportional shares has SECONDS, the one
with found shares what the search leaves of them; both train quickstart's shape with the same tokenizer and are judged on the test text of the
target source, which neither sees before. One thread, processor time, so other programs on the machine change little. The interval is a paired
bootstrap over windows of the test text, for each seed.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpora import brown_texts, factbook_texts, shakespeare_texts
from measure import Skipped
from texts import PACKAGE

import groundup
from groundup.data.batches.loader import IGNORED_LABEL, Windows
from groundup.data.batches.mixture_config import MixtureConfig
from groundup.data.batches.shards import ShardSet, write_shards
from groundup.data.split import TEST, TRAIN, VALIDATION, SplitWriter, read_split
from groundup.device import select_compute
from groundup.evaluate.paired import ratio_difference
from groundup.files import write_json
from groundup.model.heads import LanguageModel
from groundup.planning.pretrain_config import ModelShape, PretrainConfig
from groundup.planning.pretrain_options import pretrain_options
from groundup.progress import Silent
from groundup.research.baseline import BaseRecipe
from groundup.research.mixture.search import TEXTS
from groundup.research.mixture.texts import SearchTexts
from groundup.research.switches import BASELINE
from groundup.research.tries import TryRunner, with_steps
from groundup.train.monitor.evaluation import token_byte_counts

CHARACTERS, DOCUMENT = 1_200_000, 5_000
SEARCH = "search"
# What an optical reader takes for another character.
MISREAD = dict(
    zip(
        "eclomhinstard",
        ["c", "e", "1", "0", "rn", "b", "j", "u", "5", "f", "@", "v", "cl"],
        strict=True,
    )
)
NOISE, LETTERS = "~^|.,'`_-* ", "abcdefghijklmnopqrstuvwxyz0123456789"
ADS = (
    "Buy {thing} now and save {number}%! Call 0800-{number} today.",
    "LIMITED OFFER: {thing} from only ${number}.99, order code {code}.",
    "Lose {number} pounds with {thing}!!! Click http://{code}.example",
    "Dear friend, you won ${number}000. Reply with code {code} to claim your {thing}.",
)
THINGS = (
    "watches",
    "car insurance",
    "vitamins",
    "mattresses",
    "loans",
    "garden lamps",
    "printer ink",
)
PAGES = (
    '<div class="{code} nav-{number}" id="{code}" data-v-{code}>',
    '<a href="/{code}/{code}.html?utm={code}">Read more</a>',
    '<script src="https://cdn.{code}.example/{code}{code}.min.js" integrity="sha384-{code}{code}"></script>',
    "We use cookies to improve your experience. Accept all {number}",
)
LOGS = (
    "2026-04-{number}T14:24:{number}Z INFO [worker-{number}] request {code} done in {number}ms peer=10.1.{number}.7",
    "2026-07-{number}T03:11:{number}Z ERROR [db-{number}] query {code} failed after {number} retries bytes={number}{number}",
)


def made_lines(templates: Sequence[str], draw: random.Random) -> Iterator[str]:
    while True:
        template, found = draw.choice(templates), ""
        for part in template.split("{code}"):
            found += part + "".join(draw.choices(LETTERS, k=10))
        yield found[:-10].format(number=draw.randrange(10, 99), thing=draw.choice(THINGS))


def misread(text: str, draw: random.Random) -> str:
    return "".join(MISREAD.get(c, draw.choice(NOISE)) if draw.random() < 0.25 else c for c in text)


def documents(lines: Iterator[str], characters: int) -> list[str]:
    """Of DOCUMENT characters each, `characters` in all or as many as there are."""
    found, part, size = [], "", 0
    for line in lines:
        part += line + "\n"
        if len(part) >= DOCUMENT:
            found.append(part)
            size, part = size + len(part), ""
        if size >= characters:
            break
    return found


def collections() -> dict[str, dict[str, list[str]]]:
    """Name -> source -> documents; the target is the first source. Raises Skipped."""
    draw, brown = random.Random(7), brown_texts()

    def lines(texts: Sequence[str]) -> Iterator[str]:
        shuffled = draw.sample(list(texts), len(texts))
        return (line for text in shuffled for line in text.splitlines())

    def of(letters: str) -> list[str]:
        return [text for name, text in brown.items() if name[1] in letters]

    def clean(texts: Sequence[str]) -> list[str]:
        return documents(lines(texts), CHARACTERS)

    def dirt(templates: Sequence[str], times: int) -> list[str]:
        return documents(made_lines(templates, draw), times * CHARACTERS)

    manuals = [file.read_text() for file in sorted((PACKAGE.parent / "docs").rglob("*.md"))]
    return {
        "plays": {
            "shakespeare": clean(list(shakespeare_texts().values())),
            "essays": clean(of("abcdefg")),
            "scans": [misread(text, draw) for text in clean(of("hj"))],
            "pages": dirt(PAGES, 2),
        },
        "countries": {
            "factbook": clean(list(factbook_texts().values())),
            "manuals": clean(manuals),
            "logs": dirt(LOGS, 3),
        },
        "stories": {
            "stories": clean(of("klmnpr")),
            "essays": clean(of("abcdefghj")),
            "ads": dirt(ADS, 3),
        },
    }


def write_sources(folder: Path, sources: dict[str, list[str]]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in sources.items():
        rows = [json.dumps({"text": text}) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    return [str(folder / f"{name}.jsonl") for name in sources]


class Contest:
    """One collection: runs of quickstart's shape, judged on the target's test text."""

    def __init__(self, home: Path, target: str, data: list[str]) -> None:
        options = pretrain_options(
            data, PretrainConfig(steps=1, model=ModelShape(preset="quickstart"))
        )
        self.texts = SearchTexts(home / SEARCH / TEXTS, options, Silent())
        shape = options.shape(self.texts.tokenizer.vocab_size)
        self.inputs = BaseRecipe(options, self.texts.texts, shape, options.tables["fit"]).inputs()
        compute = replace(select_compute("cpu", fixed_choices=True), thread_counts=())
        self.runner = TryRunner(home / "runs", compute)
        self.bytes = token_byte_counts(self.texts.tokenizer)
        self.test = self._test(home / "test", target)

    def _test(self, home: Path, target: str) -> ShardSet:
        (home / "data").mkdir(parents=True, exist_ok=True)
        with SplitWriter(home / "data", (TRAIN, VALIDATION)) as writer:
            for document in read_split(self.texts.data, TEST):
                if Path(document.source).stem == target:
                    writer.write(VALIDATION, document)
        return write_shards(home / "data", self.texts.tokenizer, home / "shards", progress=Silent())

    def run(self, mixture: MixtureConfig, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Bits and bytes of each window of the test text."""
        rows = replace(self.inputs.fit.rows, mixture=mixture)
        inputs = replace(self.inputs, fit=replace(self.inputs.fit, rows=rows))
        model, _ = self.runner.trained(with_steps(inputs, steps, seed))
        return self._measure(model.eval())

    @torch.no_grad()
    def _measure(self, model: LanguageModel) -> tuple[np.ndarray, np.ndarray]:
        nats: list[float] = []
        sizes: list[int] = []
        for batch in Windows(
            self.test, VALIDATION, self.inputs.shape.context_tokens, 8, 0
        ).in_order():
            logits = model.hidden(batch.ids, documents=batch.documents) @ model.head_weight.T
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1),
                batch.labels.flatten(),
                ignore_index=IGNORED_LABEL,
                reduction="none",
            )
            nats += loss.view(batch.labels.shape).sum(1).tolist()
            counted = self.bytes[batch.labels.clamp(min=0)] * (batch.labels != IGNORED_LABEL)
            sizes += counted.sum(1).tolist()
        kept = np.array(sizes) > 0
        return np.array(nats)[kept] / np.log(2), np.array(sizes)[kept]


def compare(
    name: str, sources: dict[str, list[str]], home: Path, seconds: float, seeds: int
) -> list[dict[str, Any]]:
    target, data = next(iter(sources)), write_sources(home / "sources", sources)
    contest = Contest(home, target, data)
    before = time.process_time()
    config = groundup.MixtureSearchConfig(budget=f"{seconds:g}s", target=target)
    found = groundup.search_mixture(data, home / SEARCH, config, progress=Silent())
    print(
        f"{name}: search {found.processor_s:.0f} s ({time.process_time() - before:.0f} in this call): {found.mixture} {found.process}"
    )
    step_s = contest.runner.step_seconds({BASELINE: contest.inputs}, Silent())[BASELINE]
    shares = {each.source: each.found for each in found.sources}
    mixture = MixtureConfig(shares) if found.better else MixtureConfig()
    steps = [max(1, round(each / step_s)) for each in (seconds, seconds - found.processor_s)]
    rows = []
    for seed in range(seeds):
        base, sizes = contest.run(MixtureConfig(), steps[0], seed)
        own, _ = contest.run(mixture, steps[1], seed)
        found_difference = ratio_difference(list(base), list(own), list(sizes))
        proportional = base.sum() / sizes.sum()
        bounds = (found_difference.value, found_difference.low or 0.0, found_difference.high or 0.0)
        relative = [100 * each / proportional for each in bounds]
        rows.append(
            {
                "collection": name,
                "seed": seed,
                "steps": steps,
                "proportional": proportional,
                "relative": relative,
            }
        )
        print(
            f"{name}, seed {seed}: {steps[0]} and {steps[1]} steps, {proportional:.3f} and {own.sum() / sizes.sum():.3f} bits per byte: "
            f"{relative[0]:+.1f} % ({relative[1]:+.1f} to {relative[2]:+.1f}, n = {len(sizes)} windows)",
            flush=True,
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=["plays", "countries", "stories"])
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        found = collections()
    except Skipped as reason:
        print(f"skipped: {reason}")
        return 1
    rows: list[dict[str, Any]] = []
    for name, sources in found.items():
        if asked.only in (None, name):
            rows += compare(name, sources, asked.out / name, asked.seconds, asked.seeds)
    write_json(asked.out / "mixture.json", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
