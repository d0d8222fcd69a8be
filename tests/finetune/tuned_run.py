"""Fine-tuning runs as processes of their own, to be killed: every kind. The requests are those of tests/train/tiny_run.py."""

import importlib
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import torch
from stopping import hold_in_save

from groundup.data.documents import (
    Example,
    InstructionExample,
    PreferenceExample,
    RatedExample,
    TextPair,
)
from groundup.device import Compute
from groundup.finetune import instruct
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.config import (
    NO_ENCODER,
    ChatConfig,
    ClassifierConfig,
    EncoderConfig,
    PreferenceConfig,
)
from groundup.finetune.encoder import fit_encoder
from groundup.finetune.encoder_examples import examples_of_pairs
from groundup.finetune.instruct import fit_chat
from groundup.finetune.preference import fit_preference
from groundup.finetune.ratings import fit_ratings
from groundup.finetune.reward import fit_reward
from groundup.finetune.reward_config import RewardConfig
from groundup.finetune.reward_tasks import generate_task
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Message
from groundup.weights.model_io import open_model

CPU = Compute(torch.device("cpu"))
SENTENCE = "see you at the station call me when it is over we can meet later today what is left of right up down"
WORDS = SENTENCE.split()
COMMON: dict[str, Any] = {"precision": "float32", "seed": 3}


class Said(Silent):
    """Keeps what was said in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, text: str) -> None:
        with self.path.open("a") as handle:
            handle.write(text + "\n")


def chat(base: Path, run: RunFolder, progress: Said) -> None:
    examples = [
        InstructionExample(f"{WORDS[n % 20]} {n}", "", WORDS[n % 7], str(n), held_out=n % 6 == 0)
        for n in range(60)
    ]
    config = ChatConfig(epochs=6, learning_rate=1e-2, max_tokens=48, **COMMON)
    fit_chat(open_model(base, CPU), examples, run, config, compute=CPU, progress=progress)


def preference(base: Path, run: RunFolder, progress: Said) -> None:
    asked = [(Message("user", f"see you {n}"),) for n in range(60)]
    examples = [
        PreferenceExample(p, f"{WORDS[n % 6]} it is over", f"{WORDS[n % 5 + 7]} we can", str(n))
        for n, p in enumerate(asked)
    ]
    config = PreferenceConfig(epochs=3, learning_rate=5e-3, batch_size=4, **COMMON)
    fit_preference(open_model(base, CPU), examples, run, config, compute=CPU, progress=progress)


def ratings(base: Path, run: RunFolder, progress: Said) -> None:
    examples = [
        RatedExample(
            (Message("user", f"see you {n}"),),
            f"{WORDS[n % 6]} {'it is over' if n % 3 else 'we can meet'}",
            n % 3 == 0,
            str(n),
        )
        for n in range(60)
    ]
    config = PreferenceConfig(epochs=3, learning_rate=5e-3, batch_size=4, **COMMON)
    fit_ratings(open_model(base, CPU), examples, run, config, compute=CPU, progress=progress)


def encoder(base: Path, run: RunFolder, progress: Said) -> None:
    pairs = [
        TextPair(f"{WORDS[n % 20]} {n}", (f"{WORDS[n % 20]} it is {n}",), (), str(n))
        for n in range(80)
    ]
    config = EncoderConfig(epochs=3, learning_rate=5e-3, batch_size=8, **COMMON)
    opened, examples = open_model(base, CPU), examples_of_pairs(pairs)
    fit_encoder(opened, examples, run, config, compute=CPU, progress=progress)


def reward(base: Path, run: RunFolder, progress: Said) -> None:
    config = RewardConfig(
        steps=20,
        prompts=2,
        group=4,
        answer_tokens=4,
        items=30,
        validation=4,
        test=8,
        learning_rate=1e-2,
        sampling="float32",
        **COMMON,
    )
    task = generate_task("letter-counting", config)
    fit_reward(open_model(base, CPU), task, run, config, compute=CPU, progress=progress)


def classifier(base: Path, run: RunFolder, progress: Said, train: str) -> None:
    draw = random.Random(1)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(4, 12))) for _ in range(200)]
    rows = [
        Example(f"{text} prize" if n % 3 == 0 else text, "ham" if n % 3 else "spam")
        for n, text in enumerate(texts)
    ]
    splits = {"train": rows[:120], "validation": rows[120:160], "test": rows[160:]}
    config = ClassifierConfig(
        epochs=6,
        learning_rate=5e-3,
        max_tokens=48,
        train=train,
        encoder=NO_ENCODER if train == "auto" else "",
        **COMMON,
    )
    fit_classifier(open_model(base, CPU), splits, run, config, compute=CPU, progress=progress)


def child(request: dict[str, Any]) -> None:
    """One run."""
    folder, kind = Path(request["folder"]), request["kind"]
    if at_file := int(request.get("hold_in_save", 0)):
        hold_in_save(folder, at_file)
    base, run, progress = (
        folder.parent / "base",
        RunFolder(folder),
        Said(folder.with_suffix(".said")),
    )
    if kind == "chat":
        chat(base, run, progress)
    elif kind == "preference":
        preference(base, run, progress)
    elif kind == "ratings":
        ratings(base, run, progress)
    elif kind == "reward":
        reward(base, run, progress)
    elif kind == "encoder":
        encoder(base.with_name("encoder"), run, progress)
    else:
        classifier(base, run, progress, kind)


def main() -> None:
    torch.set_num_threads(1)
    instruct.EVALUATE_EVERY_TOKENS = 1000  # so that a short run has several checkpoints
    # An optimizer imports it, for a second and more: once, before forking.
    importlib.import_module("torch._dynamo")
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child(json.loads(line))
                code = 0
            finally:
                os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
