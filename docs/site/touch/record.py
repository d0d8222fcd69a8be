"""What two pictures show was measured in trainings, which this script runs again: `python docs/site/touch/record.py`, a minute
or two. It writes recorded.js; the pages' tests hold the figures that the pages tell against it.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.files import write_text
from groundup.lab.attention import attention_maps
from groundup.lab.head_patterns import half_losses, mean_scores, repeated_sequences
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise

HERE = Path(__file__).parent
SCENES = HERE.parents[2] / "groundup/course/notebooks/texts/dream"
NEW = HERE.parents[2] / "groundup/evaluate/tasks/general.txt"
# Of the new text: what the model may read, in characters; the rest is held out.
NEW_CHARACTERS = 6_000
Draw = Callable[[torch.Generator], Tensor]


def main() -> int:
    """Train and write; return the exit code."""
    torch.set_num_threads(1)
    recorded = {"emergence": emergence(), "pretrained": head_start()}
    note = "// Written by record.py.\n"
    write_text(HERE / "recorded.js", f"{note}const RECORDED = {json.dumps(recorded)};\n")
    return 0


def train(
    model: LanguageModel, draw: Draw, snapshots: list[int], *, rate: float = 3e-3
) -> Iterator[int]:
    """Train by AdamW on batches of ids [B, T + 1], giving the number of each step of `snapshots`."""
    random = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    for step in range(max(snapshots) + 1):
        if step in snapshots:
            yield step
        ids = draw(random)
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def emergence() -> dict[str, Any]:
    """A model of two blocks is given random tokens twice: its losses, and how a head learns to copy."""
    shape = {"width": 64, "num_layers": 2, "num_heads": 4, "feedforward_width": 64}
    model = LanguageModel(ModelConfig(vocab_size=32, context_tokens=64, **shape))
    initialise(model, torch.Generator().manual_seed(0))
    with torch.no_grad():  # larger weights than a deep model wants: it learns sooner
        for matrix in (each for each in model.parameters() if each.ndim == 2):
            matrix.mul_(3)
    texts = repeated_sequences(model)
    shown = [3, 17, 8, 25, 11, 30, 1, 20] * 2
    steps, maps = [], []
    for step in train(model, twice, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]):
        model.eval()
        scores = mean_scores(model, texts)["induction"]
        steps.append({"step": step, **half_losses(model, texts, 0), "scores": scores.tolist()})
        maps.append(attention_maps(model, shown))
        model.train()
    last = torch.tensor(steps[-1]["scores"])
    block, head = divmod(int(last.argmax()), last.shape[1])
    return {
        "ids": shown,
        "block": block + 1,
        "head": head + 1,
        "steps": [
            {
                "step": each["step"],
                "first": round(each["first_half"], 2),
                "second": round(each["second_half"], 2),
                "score": round(each["scores"][block][head], 2),
                "map": [[round(share, 2) for share in row] for row in seen[block, head].tolist()],
            }
            for each, seen in zip(steps, maps, strict=True)
        ],
    }


def twice(random: torch.Generator) -> Tensor:
    """32 rows of random tokens, each given twice."""
    length = int(torch.randint(8, 33, (), generator=random))
    half = torch.randint(32, (32, length), generator=random)
    return torch.cat([half, half], dim=1)


def head_start() -> dict[str, Any]:
    """Loss per letter on plain sentences, from random weights and from weights that have read scenes of a play."""
    scenes, new = [path.read_text() for path in sorted(SCENES.glob("*.txt"))], NEW.read_text()
    letters = sorted(set("".join([*scenes, new])))
    ids = [torch.tensor([letters.index(letter) for letter in text]) for text in scenes]
    fresh = torch.tensor([letters.index(letter) for letter in new])
    few, held_out = rows_of(fresh[:NEW_CHARACTERS]), fresh[NEW_CHARACTERS:]
    snapshots = [0, 5, 10, 15, 20, 30, 40, 50, 60]
    scratch, pretrained = small_model(len(letters)), small_model(len(letters))
    for _ in train(pretrained, rows_of(torch.cat(ids)), [400]):
        pass
    curves = {}
    for name, model in (("random", scratch), ("pretrained", pretrained)):
        curves[name] = [
            {"loss": loss_of(model, held_out), "text": written(model, letters)}
            for _ in train(model, few, snapshots, rate=1e-3)
        ]
    return {
        "steps": snapshots,
        "letters": len(letters),
        "chance": round(math.log(len(letters)), 2),
        "parameters": sum(weight.numel() for weight in scratch.parameters()),
        "read": sum(map(len, scenes)),
        "new": NEW_CHARACTERS,
        "held_out": len(held_out),
        **curves,
    }


def small_model(letters: int) -> LanguageModel:
    shape = {"width": 64, "num_layers": 2, "num_heads": 4, "feedforward_width": 128}
    model = LanguageModel(ModelConfig(vocab_size=letters, context_tokens=64, **shape))
    initialise(model, torch.Generator().manual_seed(0))
    return model


def rows_of(ids: Tensor) -> Draw:
    def draw(random: torch.Generator) -> Tensor:
        starts = torch.randint(len(ids) - 65, (16,), generator=random).tolist()
        return torch.stack([ids[start : start + 65] for start in starts])

    return draw


@torch.no_grad()
def loss_of(model: LanguageModel, ids: Tensor) -> float:
    """Nats per letter over rows of 64."""
    rows = torch.stack([ids[start : start + 65] for start in range(0, len(ids) - 65, 64)])
    logits = model(rows[:, :-1])
    return round(float(F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())), 2)


@torch.no_grad()
def written(model: LanguageModel, letters: list[str], count: int = 40) -> str:
    """What the model writes after a beginning, drawn at temperature 0.7."""
    random = torch.Generator().manual_seed(1)
    ids = [letters.index(letter) for letter in "What "]
    for _ in range(count):
        shares = torch.softmax(model(torch.tensor([ids[-64:]]))[0, -1] / 0.7, dim=-1)
        ids.append(int(torch.multinomial(shares, 1, generator=random)))
    return " ".join("".join(letters[id] for id in ids).split())


if __name__ == "__main__":
    sys.exit(main())
