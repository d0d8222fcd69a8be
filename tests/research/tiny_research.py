"""A research on tiny texts: two rounds, two seeds, three switches, eight steps."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import groundup
from groundup.research.results import ResearchResults

WORDS = (
    "fox",
    "hen",
    "sang",
    "the",
    "of",
    "king",
    "tale",
    "river",
    "stone",
    "ship",
    "crown",
    "moon",
)
SWITCHES: tuple[str | groundup.Switch, ...] = (
    "untied",
    "cosine",
    groundup.Switch("rows-of-16", "Shorter rows", settings=("model.context_tokens=16",)),
)


@dataclass(frozen=True)
class Done:
    texts: Path
    out: Path
    config: groundup.ResearchConfig
    results: ResearchResults


def config_of(
    switches: Sequence[str | groundup.Switch] = SWITCHES, **fields: int
) -> groundup.ResearchConfig:
    return groundup.ResearchConfig(
        **{"steps": 8, "rounds": 2, "seeds": 2, **fields},
        switches=switches,
        model=groundup.ModelShape(depth=1),
        settings={"model.vocab_size": 280},
    )


def write_texts(folder: Path) -> Path:
    folder.mkdir()
    draw = random.Random(0)
    for number in range(8):
        (folder / f"{number}.txt").write_text(" ".join(draw.choices(WORDS, k=500)))
    return folder


def do_research(home: Path) -> Done:
    texts, config = write_texts(home / "texts"), config_of()
    out = home / "out"
    return Done(texts, out, config, groundup.run_research(texts, out, config))
