"""Train the reader that the package ships, on CoQA's stories and on the invented firms of benchmarks/reader_firms:

    python benchmarks/reader.py FIRST                    OUT/reader.safetensors and its manifest
    python benchmarks/reader.py OUT --start FIRST        trained further
    python benchmarks/reader.py M1 --encoder all-mpnet-base-v2 --near all-minilm-l6-v2-ask --large --stories 150 \
        --first-block 4 --rate 5e-4 --part 0 4027 --run RUN
                                                         a larger one; stopped, it goes on from RUN
    python benchmarks/reader.py M2 ... --start M1 --rate 4e-4 --part 4027 8600
    python benchmarks/reader.py M3 ... --start M2 --rate 3e-4 --part 8600 16110 --kept-rank 9
                                                         and on other questions, in 8 bits

SQuAD, BoolQ, QASPER and the packs' questions are never trained on; three firms (--held) and every tenth story only validate. The same
command with the same code on the same processor and number of threads gives the same file.
"""

import argparse
import json
import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from retrieve_sets import requests
from torch import nn

from groundup.cli.console import console_progress
from groundup.device import generator, select_compute
from groundup.finetune.reader_tuning import Library, ReaderBatches, ReaderQuestion, answer_loss
from groundup.language.terms import words
from groundup.model.heads import Encoder
from groundup.model.lora import LoRALinear, add_lora
from groundup.retrieve.cite import statements
from groundup.retrieve.passages import Passage, split
from groundup.retrieve.reader import (
    ALPHA,
    RANK,
    Reader,
    SentenceScorer,
    encoder_of,
    read_reader,
    write_reader,
)
from groundup.retrieve.table_rows import cells
from groundup.retrieve.vectors import open_encoder
from groundup.runs import RunFolder
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps.config import FitConfig
from groundup.weights.lora_file import encoder_hashes

FIRMS = Path(__file__).with_name("reader_firms")
LARGE_FIRMS = Path(__file__).with_name("reader_large_firms")
COQA = "*coqa/bpb_0shot/requests.jsonl.gz"
PASSAGES, BATCH, LEARNING_RATE, FURTHER_RATE = 4, 8, 8e-4, 5e-4
# Questions of a firm's tables, of each size.
CELLS = 12
# Tokens of a passage and passages of a question, for firms; a question is read with one of them.
SIZES = ((112, 5), (224, 3))
HELD = ["ferry", "hotel", "style-guide", "borough-council"]
# A firm's questions, and those in people's own words that share none with the documents.
QUESTIONS, EVERYDAY = "questions.jsonl", "everyday.jsonl"
# As an inbox has them, plain and colloquial, a third a step of thought away from their sentence: the
# packaged readers have not read them (docs/log.md says what was tried).
INBOX = "inbox.jsonl"
# Of a reader that is trained further, the share of the first that are read again.
AGAIN = 0.4
# The share of questions whose passages are without the answer.
WITHOUT = 0.2
_PRONOUN = re.compile(
    r"\b(he|she|it|they|him|her|his|their|them|that|this|those|there|one)\b", re.I
)


def passages_of(text: str, name: str, max_tokens: int = 256) -> list[Passage]:
    """The passages of a document, as an index has them."""
    return [
        Passage(0, text[p.start : p.end], p.title, name, name, name, "", p.start, p.end, "en", 0)
        for p in split(text, max_tokens)
    ]


def plain(text: str) -> str:
    return " " + " ".join(words(text)) + " "


def containing(passages: list[Passage], part: str) -> dict[int, set[int]]:
    """Passage -> sentences that have a text, or are a part of it."""
    wanted, found = plain(part), defaultdict(set)
    for number, passage in enumerate(passages):
        for place, each in enumerate(statements(passage)):
            own = plain(each.text)
            if wanted.strip() and (wanted in own or (len(own) > 12 and own in wanted)):
                found[number].add(place)
    return dict(found)


def coqa(embed, draw: random.Random, stories_read: int | None) -> dict[str, list[ReaderQuestion]]:
    """Questions of CoQA whose answer stands in one or two sentences of the story, of so many
    stories drawn at random (None: of all).
    """
    stories = defaultdict(list)
    for row in {row["id"]: row for row in requests(COQA)}.values():
        stories[row["id"].rsplit("_turn", 1)[0]].append(row)
    found = {"train": [], "validation": []}
    names = sorted(stories)
    random.Random(1).shuffle(names)
    chosen = set(names[:stories_read])
    for number, turns in enumerate(of for name, of in stories.items() if name in chosen):
        passages = passages_of(turns[0]["story"], "story", draw.choice([48, 64, 96, 128]))
        library = Library.of(passages, embed)
        asked = []
        for turn in turns:
            question, answer, before = turn["question"], turn["answers"][0], turn["previous_qa"]
            place = next((n for n, each in enumerate(before) if each["question"] == question), 0)
            answers = containing(passages, answer)
            if not 1 <= sum(map(len, answers.values())) <= 2 or len(question.split()) < 3:
                continue
            if _PRONOUN.search(question) or len(question.split()) < 4:
                if place == 0:
                    continue
                last = before[place - 1]
                question = f"{last['question']} {last['answer']}. {question}"
            asked.append((question, answers))
        if not asked:
            continue
        vectors = torch.as_tensor(embed([question for question, _ in asked]))
        kind = "validation" if number % 10 == 9 else "train"
        for (question, answers), vector in zip(asked, vectors, strict=True):
            is_answered = draw.random() < 0.8
            found[kind].append(
                library.question(question, vector, answers, count=PASSAGES, is_answered=is_answered)
            )
    return found


def questions_of(folder: Path, *names: str) -> list[dict]:
    """The questions of a firm in files of these names, in both by default."""
    files = [folder / name for name in names or (QUESTIONS, EVERYDAY)]
    text = "".join(file.read_text(encoding="utf-8") for file in files if file.exists())
    return [json.loads(line) for line in text.splitlines()]


def styled(question: str, draw: random.Random) -> str:
    """A question as people type it: some without marks."""
    return question.rstrip("?!. ") if draw.random() < 0.3 else question


def firm(
    folder: Path, embed, draw: random.Random, again: float = 1.0, names: Sequence[str] = (EVERYDAY,)
) -> Iterator[ReaderQuestion]:
    """Questions of an invented firm and of its tables' cells, half of them on short passages and
    half on those of an index; of some the answer is left out. `again`: the share of QUESTIONS;
    `names`: the files whose questions are all read.
    """
    rows = [row for row in questions_of(folder, QUESTIONS) if draw.random() < again]
    rows += questions_of(folder, *names)
    draw.shuffle(rows)
    for part, (max_tokens, count) in enumerate(SIZES):
        passages = [
            each
            for file in sorted((folder / "documents").glob("*.md"))
            for each in passages_of(file.read_text(encoding="utf-8"), file.name, max_tokens)
        ]
        library = Library.of(passages, embed)
        asked = [(row["question"], answers_of(row, passages)) for row in rows[part :: len(SIZES)]]
        asked += cell_questions(passages, draw)[:CELLS]
        vectors = torch.as_tensor(embed([question for question, _ in asked]))
        for (question, answers), vector in zip(asked, vectors, strict=True):
            yield library.question(
                styled(question, draw),
                vector,
                answers,
                count=count,
                is_answered=not answers or draw.random() > WITHOUT,
                draw=draw,
            )


def answers_of(row, passages: list[Passage]) -> dict[int, set[int]]:
    """The sentences that answer a firm's question: that it was written from, and others that hold
    its answer, in the document and those that say the same.
    """
    if row["kind"] != "answerable":
        return {}
    documents = {row["document"], *row.get("also", ())}
    own = containing(passages, row["sentence"])
    answers = {n: s for n, s in own.items() if passages[n].document == row["document"]}
    for each in row["answers"]:
        for n, s in containing(passages, each).items():
            if passages[n].document in documents and n not in answers and len(plain(each)) > 6:
                answers[n] = s
    if not answers:
        raise ValueError(f"No sentence of {row['document']} answers {row['question']!r}.")
    return answers


def cell_questions(
    passages: list[Passage], draw: random.Random
) -> list[tuple[str, dict[int, set[int]]]]:
    """Questions for some cells of tables: the row's first cell and a column's name."""
    forms = (
        "how much is {row}?",
        "what is the {column} for {row}?",
        "{row} {column}",
        "{column} of {row}?",
        "Can you tell me the {column} for {row}?",
        "what's the {column} on {row}",
    )
    found = []
    for number, passage in enumerate(passages):
        for place, each in enumerate(statements(passage)):
            if not each.text.startswith("|") or not each.head or draw.random() < 0.7:
                continue
            names, values = cells(passage.text[slice(*each.head)]), cells(each.text)
            if len(names) != len(values) or len(values) < 2 or not values[0]:
                continue
            column = draw.randrange(1, len(values))
            form = draw.choice(
                forms if "£" in values[column] or "€" in values[column] else forms[1:]
            )
            question = form.format(row=values[0].lower(), column=names[column].lower())
            found.append((question, {number: {place}}))
    return found


def validation(questions: list[ReaderQuestion], reader: Reader) -> dict[str, float]:
    """First sentence right, and the area between answered and not."""
    right, with_answer, without = [], [], []
    for each in questions:
        scores = reader.scores(each.question, each.passages)
        best, place = max((s, (p, n)) for p, of in enumerate(scores) for n, s in enumerate(of))
        (with_answer if each.answers else without).append(best)
        if each.answers:
            right.append(place in each.answers)
    a, b = torch.tensor(with_answer), torch.tensor(without)
    area = float((a[:, None] > b[None]).float().mean()) if len(b) and len(a) else float("nan")
    return {"n": len(questions), "first right": sum(right) / max(1, len(right)), "area": area}


def training_config(steps: int, batch: int, rate: float) -> FitConfig:
    """One epoch of adapters, of the reader and of the encoder (encoder.py)."""
    return FitConfig(steps).with_fields(
        {
            "batch_size": batch,
            "optimizer": {"name": "adamw", "learning_rate": rate, "weight_decay": 0.0},
            "schedule": {"name": "cosine", "warmup_steps": steps // 12},
            "precision": "bf16",
            "compile": "off",
            "evaluate_every": steps,
        }
    )


def arguments() -> argparse.Namespace:
    """What the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--held", nargs="*", default=HELD, help="Firms that only validate.")
    parser.add_argument("--start", type=Path, help="A reader that is trained further.")
    parser.add_argument("--encoder", default="all-minilm-l6-v2", help="What the reader is made of.")
    parser.add_argument("--near", help="The encoder by which passages are near; default: the same.")
    parser.add_argument("--large", action="store_true", help="Large firms, too.")
    parser.add_argument("--coqa", type=int, default=800, help="Questions of CoQA, at most.")
    parser.add_argument("--stories", type=int, help="Stories of CoQA that are read; default: all.")
    parser.add_argument("--first-block", type=int, default=0, help="The first that is adapted.")
    parser.add_argument("--rank", type=int, default=RANK, help="Of the adapter; alpha is twice it.")
    parser.add_argument("--rate", type=float, help="The learning rate.")
    parser.add_argument(
        "--part", type=int, nargs=2, help="First and last of the shuffled questions."
    )
    parser.add_argument("--kept-rank", type=int, help="Kept of the rank; numbers of 16 bits.")
    parser.add_argument("--inbox", action="store_true", help="The firms' INBOX, too.")
    parser.add_argument("--run", type=Path, help="Where a stopped training goes on.")
    return parser.parse_args()


def questions_read(
    args: argparse.Namespace, embed
) -> tuple[list[ReaderQuestion], dict[str, list[ReaderQuestion]]]:
    """The questions to train on, and of each set that validates its own."""
    draw = random.Random(0)
    of_stories = coqa(embed, draw, args.stories)
    draw.shuffle(of_stories["train"])
    train, checks = of_stories["train"][: args.coqa], {"coqa": of_stories["validation"][:100]}
    again = AGAIN if args.start and not args.part else 1.0
    names = (EVERYDAY, INBOX) if args.inbox else (EVERYDAY,)
    for folder in sorted(each for each in FIRMS.iterdir() if each.is_dir()):
        if folder.name in args.held:
            checks[folder.name] = list(firm(folder, embed, draw))
        else:
            train += firm(folder, embed, draw, again, names)
    for folder in sorted(LARGE_FIRMS.iterdir()) if args.large else ():
        if folder.name in args.held:
            checks[folder.name] = list(firm(folder, embed, draw))
        elif folder.is_dir():
            train += firm(folder, embed, draw)
    if args.part:
        random.Random(3).shuffle(train)
        train = train[slice(*args.part)]
    return train, checks


def keep_rank(scorer: SentenceScorer, rank: int) -> None:
    """Replace each update B A by the nearest one of a lower rank (Eckart and Young 1936); `rank` is
    the mean: larger singular values of all updates are kept before smaller ones, one of each.
    """
    parts = [part for part in scorer.modules() if isinstance(part, LoRALinear)]
    found = [torch.linalg.svd(part.lora_b @ part.lora_a, full_matrices=False) for part in parts]
    every = torch.cat([values for _, values, _ in found]).sort(descending=True).values
    least = every[rank * len(parts) - 1]
    for part, (left, values, right) in zip(parts, found, strict=True):
        kept = max(1, int((values >= least).sum()))
        roots = values[:kept].sqrt()
        part.lora_a = nn.Parameter(roots[:, None] * right[:kept])
        part.lora_b = nn.Parameter(left[:, :kept] * roots)


def scorer_of(args: argparse.Namespace, encoder: Encoder) -> SentenceScorer:
    """The reader at its start: of --start, or with a new adapter in the blocks from --first-block."""
    scorer = SentenceScorer(encoder)
    scorer.requires_grad_(False)
    if args.start:
        read_reader(scorer, args.start)
    else:
        blocks = nn.ModuleList(scorer.transformer.blocks[args.first_block :])
        drawn = generator(0, "lora")
        add_lora(blocks, rank=args.rank, alpha=ALPHA / RANK * args.rank, generator=drawn)
    for name, parameter in scorer.named_parameters():
        parameter.requires_grad_(".lora_" in name or name.startswith("score."))
    return scorer


def main() -> None:
    args = arguments()
    compute, progress = select_compute("cpu"), console_progress()
    engine = open_encoder(args.encoder, compute, progress)
    near = open_encoder(args.near, compute, progress) if args.near else engine

    def embed(texts: Sequence[str]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return near.embed(texts).float()

    train, checks = questions_read(args, embed)
    base = encoder_hashes(encoder_of(engine).transformer)
    scorer = scorer_of(args, encoder_of(engine))
    seed = 1 if args.start and args.part else 0
    batches = ReaderBatches(train, engine.tokenizer, batch_size=BATCH, seed=seed)
    steps = batches.batches_per_epoch
    rate = args.rate or (FURTHER_RATE if args.start else LEARNING_RATE)
    with nullcontext(args.run) if args.run else tempfile.TemporaryDirectory() as folder:
        run, config = RunFolder(Path(folder)), training_config(steps, BATCH, rate)
        scorer.train()
        hooks = Hooks(progress=progress)
        fit(scorer, batches, answer_loss, config, run, compute=compute, hooks=hooks)
    card = f"benchmarks/reader.py: {len(train)} questions, {steps} steps"
    if args.kept_rank:
        keep_rank(scorer, args.kept_rank)
    write_reader(scorer, args.out, base, card, torch.int8 if args.kept_rank else torch.bfloat16)
    reader = Reader(scorer, engine.tokenizer, compute)
    figures = {name: validation(each, reader) for name, each in checks.items()}
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
