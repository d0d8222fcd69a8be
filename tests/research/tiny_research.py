"""A research on tiny texts: two rounds, two seeds, three switches, eight steps."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import groundup
from groundup.progress import Silent
from groundup.research.mixture.results import MixtureResults
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


class StopsAt(Silent):
    """Ctrl-C while the nth try begins."""

    def __init__(self, place: int) -> None:
        self._left = place

    @contextmanager
    def stage(self, title: str) -> Iterator["StopsAt"]:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt
        yield self

    def end(self, result: str) -> None:
        pass


@dataclass(frozen=True)
class Searched:
    texts: list[Path]
    """Tales, and as much again of random letters."""
    out: Path
    config: groundup.MixtureSearchConfig
    results: MixtureResults


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


def write_sources(folder: Path) -> list[Path]:
    """Tales, and twice as much of random letters."""
    draw, letters = random.Random(0), "abcdefghijklmnopqrstuvwxyz    "
    tales, noise = folder / "tales", folder / "noise"
    for source in (tales, noise):
        source.mkdir(parents=True)
    for number in range(24):
        (tales / f"{number}.txt").write_text(" ".join(draw.choices(WORDS, k=250)))
        (noise / f"{number}.txt").write_text("".join(draw.choices(letters, k=2500)))
    return [tales, noise]


def search_config(**fields: Any) -> groundup.MixtureSearchConfig:
    given = {"proxy_steps": 8, "proxies": 5, "seeds": 2, "target": "tales", "processing": ""}
    return groundup.MixtureSearchConfig(
        **{**given, **fields},
        model=groundup.ModelShape(depth=1),
        settings={"model.vocab_size": 280, "model.context_tokens": 32},
    )


def do_search(home: Path) -> Searched:
    texts, config, out = write_sources(home / "texts"), search_config(), home / "out"
    return Searched(texts, out, config, groundup.search_mixture(texts, out, config))
