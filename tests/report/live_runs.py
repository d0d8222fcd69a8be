"""Run folders as a training writes them, at any point of their way: what the tests of `groundup watch` read."""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEXTS = (
    "q zk the the  e wou",
    "The the king the king the king of the the king.",
    "The king is come, and all the court doth stand\nTo hear what news he bringeth from the land.",
)


@dataclass
class Writer:
    """A run of `steps` steps, evaluated ten times: it falls from 8.3 towards `floor`; held-out text stops following at `turn` (a share)."""

    folder: Path
    steps: int = 200
    floor: float = 3.0
    turn: float = 2.0
    seed: int = 1
    skips: tuple[int, ...] = ()
    repetition: float = 0.05
    pieces: int = 40
    """Of validation text, of 100 tokens each."""

    def begin(self) -> None:
        """run.json and fit.json, as they are before the first step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {
            "model": {"width": 128, "num_layers": 4},
            "fit": {"steps": self.steps, "learning_rate": 0.002 * self.seed},
        }
        (self.folder / "run.json").write_text(json.dumps({"kind": "pretrain", "config": config}))
        (self.folder / "fit.json").write_text(
            json.dumps({"identity": {"config": {"steps": self.steps}}})
        )

    def write(self, first: int = 0, last: int | None = None) -> None:
        """Append the lines of the steps from `first` to `last`, both counted."""
        for step in range(first, (self.steps if last is None else last) + 1):
            self._append("metrics.jsonl", self._lines(step))
            if step % (self.steps // 10) == 0:
                self._append("samples.jsonl", [self._sample(step)])

    def end(self) -> None:
        """The results of a finished run."""
        (self.folder / "results.json").write_text(json.dumps({"steps": self.steps}))

    def loss(self, step: int) -> float:
        return self.floor + (8.3 - self.floor) * math.exp(-5 * step / self.steps)

    def _lines(self, step: int) -> Iterator[dict[str, Any]]:
        chance = random.Random(f"{self.seed}-{step}")
        elapsed = {"elapsed_s": round(0.05 * step + 0.001 * chance.random(), 6)}
        if step in self.skips:
            yield {
                "event": "skipped",
                "step": step,
                "reason": "the loss is nan",
                "skipped": self.skips.index(step) + 1,
                **elapsed,
            }
        elif step:
            rate = 0.002 * min(1.0, step / (0.1 * self.steps)) * (1.02 - step / self.steps)
            figures = {
                "loss": self.loss(step) + chance.gauss(0, 0.15),
                "learning_rate": rate,
                "grad_norm": math.exp(chance.gauss(0, 0.4)),
            }
            yield {
                "step": step,
                "tokens": 1024 * step,
                **figures,
                "tokens_per_s": 20_000 + chance.gauss(0, 900),
                **elapsed,
            }
        if step % (self.steps // 10) == 0:
            late = max(0.0, step / self.steps - self.turn)
            held_out = self.loss(step) + 0.1 + 3 * late
            bits = {
                "bits_per_byte": held_out / 2.26,
                "bits_per_byte:plays": held_out / 2.1,
                "bits_per_byte:sonnets": held_out / 2.6,
            }
            yield {
                "event": "evaluation",
                "step": step,
                "validation_loss": held_out,
                **bits,
                "pieces": self._pieces(step, held_out),
                **elapsed,
            }

    def _pieces(self, step: int, held_out: float) -> dict[str, Any]:
        """Losses of pieces with the mean `held_out`: a piece is as hard at each step, but for a hundredth."""
        hard = [random.Random(piece).gauss(0, 0.5) for piece in range(self.pieces)]
        chance = random.Random(f"pieces-{self.seed}-{step}")
        each = [value + chance.gauss(0, 0.01) for value in hard]
        level = held_out - sum(each) / len(each)
        nats = [round(100 * (level + value), 3) for value in each]
        return {"unit": "windows", "nats": nats, "tokens": [100] * self.pieces}

    def _sample(self, step: int) -> dict[str, Any]:
        text = TEXTS[min(2, 3 * step // self.steps)]
        return {
            "step": step,
            "prompt": "Enter the KING. ",
            "text": text,
            "repetition": self.repetition,
            "longest_copy": 7,
            "copied_text": "all the court",
        }

    def _append(self, name: str, records: Any) -> None:
        with (self.folder / name).open("a") as handle:
            handle.writelines(json.dumps(record) + "\n" for record in records)
