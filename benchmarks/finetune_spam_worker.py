"""One contender of finetune.py's table "spam" in a process of its own: it learns until its validation accuracy is reached, or to its end.

    python finetune_spam_worker.py groundup|plain MODEL SPLITS FOLDER PRECISION SEED TARGET STEPS

SPLITS is the JSON file of `finetune.py`: texts and labels. It prints one JSON line: the seconds to the first evaluation at or above the target,
and those of processor time, without opening the model and without the plain loop's evaluations; the steps by then; the most memory of the process.
"""

import json
import os
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false"
)

import torch
from torch import Tensor

# The plain loop's, as a teaching book has them: Raschka, "Build a Large Language Model (From Scratch)", chapter 6.
LEARNING_RATE, WEIGHT_DECAY, BATCH_SIZE, EVALUATE_EVERY = 5e-5, 0.1, 8, 50
MAX_TOKENS = 64
Splits = dict[str, list[tuple[str, str]]]


class Reached:
    """The target was reached: what this process has to tell."""

    def __init__(self, steps: int, accuracy: float, clock: "Clock") -> None:
        self.found = {
            "steps": steps,
            "accuracy": accuracy,
            "seconds": clock.seconds(),
            "cpu_s": clock.cpu_s(),
        }


class Clock:
    """Seconds and processor time since it was made, without what is left out."""

    def __init__(self) -> None:
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def leave_out(self, before: tuple[float, float]) -> None:
        """Leave out what was done since `now` said `before`."""
        now = self.now()
        self._began, self._cpu = self._began + now[0] - before[0], self._cpu + now[1] - before[1]

    def now(self) -> tuple[float, float]:
        """The time."""
        return time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._began

    def cpu_s(self) -> float:
        """Processor time so far, of all threads."""
        return time.process_time() - self._cpu


class Watcher:
    """A Progress of ours that is a callback of the run: it notes when the target is reached. Our evaluations, on features, are not left out."""

    def __init__(self, target: float) -> None:
        self.target, self.clock = target, Clock()
        self.reached: Reached | None = None

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)

    def track(self, what: str, total: float, unit: str = "") -> Any:
        from groundup.progress import Silent

        return Silent().track(what, total, unit)

    def begin(self, facts: Any) -> None:
        pass

    def observe(self, line: Any) -> None:
        if line.get("event") != "evaluation" or self.reached is not None:
            return
        if line["validation_accuracy"] >= self.target:
            self.reached = Reached(line["step"], line["validation_accuracy"], self.clock)

    def close(self) -> None:
        pass


def ours(
    model: str, splits: Splits, folder: Path, precision: str, seed: int, target: float, steps: int
) -> Any:
    """What `groundup finetune classifier` calls, to its end: three learning rates, then the best one again, the test, the folder."""
    from groundup.data.documents import Example
    from groundup.device import select_compute
    from groundup.finetune.classifier import fit_classifier
    from groundup.finetune.config import ClassifierConfig
    from groundup.runs import RunFolder
    from groundup.weights.model_io import open_model

    compute = select_compute("cpu")
    opened = open_model(model, compute)
    examples = {
        name: [Example(text, label) for text, label in rows] for name, rows in splits.items()
    }
    config = ClassifierConfig(
        train="last-block", max_tokens=MAX_TOKENS, seed=seed, precision=precision
    )
    watcher = Watcher(target)
    results = fit_classifier(
        opened, examples, RunFolder(folder / "run"), config, compute=compute, progress=watcher
    )
    whole_s = watcher.clock.seconds()
    found = watcher.reached.found if watcher.reached else {}
    return {**found, "whole_s": whole_s, "features_s": results.features["elapsed_s"]}


def plain(
    model: str, splits: Splits, folder: Path, precision: str, seed: int, target: float, steps: int
) -> Any:
    """transformers' model with all frozen but its last block, final norm and score head; each step runs all of it on texts padded to one length."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(model)
    classifier = AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=2, dtype=torch.float32
    )
    classifier.config.pad_token_id = tokenizer.pad_token_id
    classifier.requires_grad_(False)
    for part in (classifier.model.layers[-1], classifier.model.norm, classifier.score):
        part.requires_grad_(True)
    clock = Clock()
    longest = min(
        MAX_TOKENS,
        max(len(ids) for ids in tokenizer([text for text, _ in splits["train"]])["input_ids"]),
    )
    names = sorted({label for _, label in splits["train"]})

    def tensors(rows: list[tuple[str, str]]) -> tuple[Tensor, Tensor, Tensor]:
        made = tokenizer(
            [text for text, _ in rows],
            truncation=True,
            max_length=longest,
            padding="max_length",
            padding_side="right",
            return_tensors="pt",
        )
        return (
            made["input_ids"],
            made["attention_mask"],
            torch.tensor([names.index(label) for _, label in rows]),
        )

    def autocast() -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")

    @torch.no_grad()
    def accuracy() -> float:
        classifier.eval()
        ids, mask, labels = held_out
        with autocast():
            logits = torch.cat(
                [
                    classifier(input_ids=i, attention_mask=m).logits
                    for i, m in zip(ids.split(32), mask.split(32), strict=True)
                ]
            )
        classifier.train()
        return float((logits.argmax(dim=1) == labels).float().mean())

    (ids, mask, labels), held_out = tensors(splits["train"]), tensors(splits["validation"])
    learned = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    classifier.train()
    done = 0
    while done < steps:
        for rows in torch.randperm(len(ids)).split(BATCH_SIZE):
            optimizer.zero_grad()
            with autocast():
                logits = classifier(input_ids=ids[rows], attention_mask=mask[rows]).logits
            torch.nn.functional.cross_entropy(logits.float(), labels[rows]).backward()
            optimizer.step()
            done += 1
            if done % EVALUATE_EVERY == 0:
                before = clock.now()
                found = accuracy()
                clock.leave_out(before)
                print(f"{done} steps: {found:.4f}", file=sys.stderr)
                if found >= target:
                    return Reached(done, found, clock).found
            if done == steps:
                break
    return {}


def main(contender: str, model: str, splits: str, folder: str, *options: str) -> None:
    """Learn, and print what came of it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is log
    precision, (seed, target, steps) = options[0], map(float, options[1:])
    run = {"groundup": ours, "plain": plain}[contender]
    found = run(
        model,
        json.loads(Path(splits).read_text()),
        Path(folder),
        precision,
        int(seed),
        target,
        int(steps),
    )
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    print(json.dumps({**found, "mb": int(line.split()[1]) / 1000}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
