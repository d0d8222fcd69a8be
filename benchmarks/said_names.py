"""Train the reader of names that the package ships, on messages of benchmarks/said_names, and compare what is read with it and without:

    python benchmarks/said_names.py OUT               on all of one.jsonl and the first 7 tenths of two.jsonl; OUT/names.safetensors and its manifest
    python benchmarks/said_names.py OUT --across      on one.jsonl alone, validated on all of two.jsonl
    python benchmarks/said_names.py OUT --only        the figures of OUT on what validates

What validates is never trained on. A message is trained on several times, each time with other names, in small letters or without punctuation. The
same command with the same code on the same processor gives the same file.
"""

import argparse
import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from reader import FIRMS, INBOX, training_config
from torch import Tensor, nn

from groundup.actions.definition import Slot
from groundup.actions.reading import MarkNames
from groundup.actions.values import read_values
from groundup.cli.console import console_progress
from groundup.device import generator, select_compute
from groundup.engine.padded_batch import pad_right
from groundup.files import sha256_text
from groundup.finetune.order import EpochBatches
from groundup.model.lora import add_lora, shared_copy
from groundup.retrieve.name_reader import (
    WORD,
    NameRow,
    NameScorer,
    name_row,
    open_name_reader,
    write_name_reader,
)
from groundup.retrieve.reader import encoder_of
from groundup.retrieve.vectors import open_encoder
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps.step import LossSum
from groundup.weights.lora_file import encoder_hashes

SAID = Path(__file__).with_name("said_names")
FIRST, LAST = (
    (SAID / f"{each}_names.txt").read_text("utf-8").split() for each in ("first", "last")
)
ENCODER = "all-minilm-l6-v2"
RANK, ALPHA, BATCH, RATE, TIMES = 4, 8.0, 16, 2e-3, 5
TRAINED_OF_TWO = 0.7
# Of each time's messages, questions of benchmarks/reader_firms beside them, which have no name to be
# written down.
QUESTIONS = 0.25
# How often a message is trained on with other names, in small letters, in capitals, without marks.
SWAPPED, SMALL, LOUD, BARE = 0.5, 0.35, 0.02, 0.2
SPAN = re.compile(r"\{([no]):([^{}]*)\}")
KIND = {"n": 1, "o": 2}
IGNORED = -100
TODAY = date(2026, 12, 1)
# What a message may say beside a name.
OTHERS = (
    Slot("guests", "number", ask="How many?", least=1, unit=("people", "guests")),
    Slot("day", "date", ask="Which day?"),
    Slot("at", "time", ask="At what time?"),
    Slot("phone", "code", ask="?", pattern="0[0-9 ]{8,12}[0-9]", example="01632 960519"),
)
_TITLE = re.compile(r"(?:mr|mrs|ms|miss|dr|prof|professor|sir|lady|herr|frau|mme)\.? ")


@dataclass(frozen=True)
class Said:
    """A message, with the question before it."""

    asked: str
    marked: str

    @property
    def text(self) -> str:
        return SPAN.sub(r"\2", self.marked)

    def spans(self) -> list[tuple[int, int, int]]:
        """Start, end and kind of each span in the text."""
        found, taken = [], 0
        for match in SPAN.finditer(self.marked):
            start = match.start() - taken
            found.append((start, start + len(match[2]), KIND[match[1]]))
            taken += len("{n:}")
        return found


def read_said(name: str) -> list[Said]:
    lines = (SAID / name).read_text(encoding="utf-8").splitlines()
    return [Said(row["asked"], row["text"]) for row in map(json.loads, lines)]


def questions() -> list[Said]:
    """What is asked of other firms, colloquially."""
    files = sorted(FIRMS.glob(f"*/{INBOX}"))
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    return [Said("", row["question"]) for row in rows if not SPAN.search(row["question"])]


def another_name(said: str, draw: random.Random) -> str:
    """A name of as many words, written alike."""
    count = len(said.split())
    if count > 2:
        return said
    new = draw.choice(LAST).replace("~", " ")
    if count == 2:
        new = f"{draw.choice(FIRST)} {new}"
    elif draw.random() < 0.4:
        new = draw.choice(FIRST)
    return new.lower() if said.islower() else new


def varied(said: Said, draw: random.Random) -> Said:
    """The message as someone else may type it."""
    is_swapped, letters, is_bare = draw.random() < SWAPPED, draw.random(), draw.random() < BARE
    parts = []
    for part in re.split(f"({SPAN.pattern.replace('(', '(?:')})", said.marked):
        match = SPAN.fullmatch(part)
        text = match[2] if match else part
        if match and is_swapped and match[1] == "n":
            text = another_name(text, draw)
        if is_bare and not match:
            text = re.sub(r"[.,!?;]+(?=\s|$)", "", text)
        if letters < SMALL:
            text = text.lower()
        elif letters < SMALL + LOUD:
            text = text.upper()
        parts.append(f"{{{match[1]}:{text}}}" if match else text)
    return Said(said.asked, "".join(parts))


def labels(row: NameRow, said: Said) -> list[int]:
    """The kind of each token; IGNORED for those outside the message."""
    found = [IGNORED if start == end else 0 for start, end in row.places]
    for first, last, kind in said.spans():
        for place, (start, end) in enumerate(row.places):
            if start < last and first < end:
                found[place] = kind
    return found


@dataclass(frozen=True)
class NameBatch:
    """Rows of tokens that are padded together."""

    ids: Tensor
    mask: Tensor
    writing: Tensor
    labels: Tensor


class NameBatches(EpochBatches):
    """Messages as batches: rows, masks, writing and labels of tokens."""

    def __init__(self, said: Sequence[Said], tokenizer: Tokenizer, *, seed: int) -> None:
        self._rows = [name_row(tokenizer, each.asked, each.text) for each in said]
        self._labels = [labels(*each) for each in zip(self._rows, said, strict=True)]
        lengths = [len(row.ids) for row in self._rows]
        super().__init__(lengths, batch_size=BATCH, seed=seed)
        self.fingerprint = sha256_text(f"{self._rows} {self._labels} {BATCH} {seed}")

    @property
    def epoch_tokens(self) -> int:
        return sum(label != IGNORED for each in self._labels for label in each)

    def batch(self, position: int) -> NameBatch:
        chosen = self.indices(position)
        device = torch.device("cpu")
        ids, mask = pad_right([self._rows[i].ids for i in chosen], device)
        writing, _ = pad_right([self._rows[i].writing for i in chosen], device)
        wanted, _ = pad_right([self._labels[i] for i in chosen], device)
        return NameBatch(ids, mask, writing, wanted.masked_fill(~mask, IGNORED))


def token_loss(model: nn.Module, batch: NameBatch) -> LossSum:
    """Cross-entropy of the tokens of messages."""
    scores, wanted = model(batch.ids, batch.mask, batch.writing), batch.labels.flatten()
    total = F.cross_entropy(scores.flatten(0, 1), wanted, ignore_index=IGNORED, reduction="sum")
    return LossSum(total, int((wanted != IGNORED).sum()))


def plain(name: str) -> str:
    """A name as it is compared: in small letters, without its title."""
    return " ".join(WORD.findall(_TITLE.sub("", name.lower())))


def names_of(said: Said) -> list[str]:
    """The names to be written down; one that is a part of another is that."""
    own = dict.fromkeys(plain(said.text[a:b]) for a, b, kind in said.spans() if kind == KIND["n"])
    return [one for one in own if one and not any(set(one.split()) < set(x.split()) for x in own)]


def outcome(said: Said, mark_names: MarkNames | None) -> str:
    """How the slot of a name is filled from a message."""
    slot = Slot("name", "name", ask=said.asked or "In what name?")
    asked = slot if said.asked else None
    read = read_values((slot, *OTHERS), said.text, TODAY, asked, mark_names).get("name")
    wanted = names_of(said)
    if read is None:
        return "missed" if wanted else "right"
    if not wanted:
        return "none was said"
    return "right" if plain(str(read.value)) in wanted else "another one"


def figures(said: Sequence[Said], mark_names: MarkNames | None) -> dict[str, int]:
    """How many messages have which outcome, of those with at most one name."""
    counted = [each for each in said if len(names_of(each)) < 2]
    return dict(Counter(outcome(each, mark_names) for each in counted))


def train(said: Sequence[Said], scorer: NameScorer, tokenizer: Tokenizer) -> int:
    """Train a scorer's adapter and head; return the steps."""
    draw = random.Random(0)
    read = [*said * TIMES, *draw.sample(questions(), int(QUESTIONS * TIMES * len(said)))]
    batches = NameBatches([varied(each, draw) for each in read], tokenizer, seed=0)
    steps = batches.batches_per_epoch
    with tempfile.TemporaryDirectory() as folder:
        compute, hooks = select_compute("cpu"), Hooks(progress=console_progress())
        config = training_config(steps, BATCH, RATE)
        fit(
            scorer.train(),
            batches,
            token_loss,
            config,
            RunFolder(Path(folder)),
            compute=compute,
            hooks=hooks,
        )
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--across", action="store_true", help="from one writer to the other")
    parser.add_argument("--only", action="store_true", help="train nothing")
    args = parser.parse_args()
    said, two = read_said("one.jsonl"), read_said("two.jsonl")
    cut = 0 if args.across else int(TRAINED_OF_TWO * len(two))
    said, checks = said + two[:cut], two[cut:]
    engine = open_encoder(ENCODER, select_compute("cpu"), console_progress())
    encoder = encoder_of(engine)
    if not args.only:
        base = encoder_hashes(encoder.transformer)
        scorer = NameScorer(shared_copy(encoder))
        add_lora(scorer.transformer, rank=RANK, alpha=ALPHA, generator=generator(0, "lora"))
        scorer.writing.requires_grad_(True)
        scorer.score.requires_grad_(True)
        steps = train(said, scorer, engine.tokenizer)
        card = f"benchmarks/said_names.py: {len(said)} messages, each {TIMES} times, {steps} steps"
        write_name_reader(scorer, args.out, base, card, torch.int8)
    mark_names = open_name_reader(engine, args.out).mark
    small = [Said(each.asked, each.marked.lower()) for each in checks]
    for title, messages in (("as typed", checks), ("in small letters", small)):
        for reader, mark in (("by rules", None), ("by the model, too", mark_names)):
            print(title, reader, json.dumps(figures(messages, mark)))


if __name__ == "__main__":
    main()
