"""Tune the encoder that searches, on the invented firms of benchmarks/reader_firms:

    python benchmarks/encoder.py OUT          OUT/questions.safetensors, 30 minutes on one core with bf16 in the processor

A question of people's own words comes near the passage and the sentence that answer it (`finetune/encoder_tuning.py`). The firms of --held
only validate. The same command with the same code on the same processor and number of threads gives the same file.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

import torch
from reader import (
    FIRMS,
    HELD,
    answers_of,
    cell_questions,
    passages_of,
    questions_of,
    styled,
    training_config,
)

from groundup.cli.console import console_progress
from groundup.device import generator, select_compute
from groundup.engine.engine import Engine
from groundup.finetune.encoder_tuning import (
    MAX_TOKENS,
    AskedText,
    EncoderBatches,
    TextsOfKind,
    contrastive_loss,
)
from groundup.model.lora import add_lora, merge_lora
from groundup.retrieve.cite import headed_text, statements
from groundup.retrieve.reader import encoder_of
from groundup.retrieve.vectors import open_encoder, text_of
from groundup.runs import RunFolder
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.weights.lora_file import encoder_hashes, write_lora_file

RANK, ALPHA, LEARNING_RATE, BATCH = 16, 32.0, 5e-4, 16
# Other texts of a firm that are candidates of a batch, and questions that are made of its tables.
PASSAGES_DRAWN, SENTENCES_DRAWN, CELLS = 3, 16, 20


def collection(
    folder: Path, number: int, engine: Engine, draw: random.Random
) -> tuple[list[AskedText], list[TextsOfKind]]:
    """A firm's answerable questions, its passages and their sentences."""
    passages = [
        each
        for file in sorted((folder / "documents").glob("*.md"))
        for each in passages_of(file.read_text(encoding="utf-8"), file.name)
    ]

    def ids(text: str) -> list[int]:
        return engine.cut(engine.embedding_ids(text), MAX_TOKENS)

    places = [(p, s) for p, each in enumerate(passages) for s in range(len(statements(each)))]
    numbers = {place: number for number, place in enumerate(places)}
    sentences = [ids(headed_text(statements(passages[p])[s])) for p, s in places]
    kinds = [
        TextsOfKind(
            [ids(text_of(each)) for each in passages], range(len(passages)), PASSAGES_DRAWN
        ),
        TextsOfKind(sentences, [p for p, _ in places], SENTENCES_DRAWN),
    ]
    rows = [row for row in questions_of(folder) if row["kind"] == "answerable"]
    asked = [(styled(row["question"], draw), answers_of(row, passages)) for row in rows]
    asked += cell_questions(passages, draw)[:CELLS]
    found = [
        AskedText(
            ids(question),
            number,
            (
                frozenset(answers),
                frozenset(numbers[p, s] for p, of in answers.items() for s in of),
            ),
        )
        for question, answers in asked
    ]
    return found, kinds


@torch.inference_mode()
def first_right(engine: Engine, asked: list[AskedText], kinds: list[TextsOfKind]) -> list[bool]:
    """Of each question whether the nearest sentence answers."""
    vectors = engine.embed([each.ids for each in asked]) @ engine.embed(list(kinds[1].rows)).T
    nearest = vectors.argmax(1).tolist()
    return [place in each.answers[1] for place, each in zip(nearest, asked, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--held", nargs="*", default=HELD, help="Firms that only validate.")
    args = parser.parse_args()
    compute, draw, progress = select_compute("cpu"), random.Random(0), console_progress()
    engine = open_encoder("all-minilm-l6-v2", compute, progress)
    questions, collections, held = [], [], {}
    for folder in sorted(each for each in FIRMS.iterdir() if each.is_dir()):
        asked, kinds = collection(folder, len(collections), engine, draw)
        if folder.name in args.held:
            held[folder.name] = (asked, kinds)
        else:
            questions += asked
            collections.append(kinds)
    before = {name: first_right(engine, *each) for name, each in held.items()}
    encoder = encoder_of(engine)
    base = encoder_hashes(encoder.transformer)
    add_lora(encoder, rank=RANK, alpha=ALPHA, generator=generator(0, "lora"))
    batches = EncoderBatches(questions, collections, batch_size=BATCH, seed=0)
    steps = batches.batches_per_epoch
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        encoder.train()
        hooks = Hooks(progress=progress)
        fit(
            encoder,
            batches,
            contrastive_loss,
            training_config(steps, BATCH, LEARNING_RATE),
            run,
            compute=compute,
            hooks=hooks,
        )
    args.out.mkdir(parents=True, exist_ok=True)
    card = f"benchmarks/encoder.py: {len(questions)} questions, {steps} steps"
    write_lora_file(encoder, args.out / "questions.safetensors", base, card, torch.float16)
    encoder.eval()
    merge_lora(encoder)
    figures = {
        name: {
            "n": len(before[name]),
            "nearest sentence answers, before": sum(before[name]) / len(before[name]),
            "after": sum(first_right(engine, *each)) / len(before[name]),
        }
        for name, each in held.items()
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
