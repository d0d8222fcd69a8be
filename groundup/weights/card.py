"""What lies beside a model's weights: README.md, the model card with the hub's front matter, and
the sampling settings of generation_config.json.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import read_json

CARD_FILE = "README.md"
# What gives a stacked classifier's scores (`stacked.py`).
STACKED_FILE = "stacked/stacked.json"
MAX_BEGINNING_CHARACTERS = 2**16


@dataclass(frozen=True)
class ModelCard:
    """What a model is, what it was made from, its figures and what it is not for."""

    name: str
    summary: str = "A language model trained with groundup."
    data: tuple[tuple[str, str], ...] = ()
    """(name, licence) of everything it was trained on here."""
    base: str | None = None
    """The model that was fine-tuned, by its hub id where it has one; None: trained from scratch."""
    license: str = ""
    """The hub's id of the weights' licence (apache-2.0)."""
    figures: Mapping[str, str] = field(default_factory=dict)
    """Of training and evaluation: {"test bits per byte, on 16,384 tokens": "2.11"}."""
    use: str = "Learning how language models are built, and experiments."
    limits: str = (
        "A small language model: it states wrong facts with confidence, repeats its training text, "
        "and must not decide about people."
    )
    labels: tuple[str, ...] = ()
    task: str = ""
    """pipeline_tag; "": text-generation, or with labels text-classification."""
    library: str = "transformers"
    """library_name: what opens the folder."""

    def markdown(self) -> str:
        return "\n".join(
            [*self._front_matter(), "", f"# {self.name}", "", self.summary, "", *self._sections()]
        )

    def _front_matter(self) -> list[str]:
        # JSON strings are YAML strings: no name can break out of them.
        lines = ["---", f"library_name: {self.library}", "tags:", "- groundup"]
        task = "text-generation"
        if self.labels:
            task = "text-classification"
        lines.append(f"pipeline_tag: {self.task or task}")
        if self.license:
            lines.append(f"license: {json.dumps(self.license)}")
        if self.base:
            lines.append(f"base_model: {json.dumps(self.base)}")
        return [*lines, "---"]

    def _sections(self) -> list[str]:
        data = [f"| {_cell(name)} | {_cell(licence)} |" for name, licence in self.data]
        figures = [f"| {_cell(name)} | {_cell(value)} |" for name, value in self.figures.items()]
        lines = [
            "## What it was made from",
            "",
            f"Base model: {self.base or 'none, trained from scratch'}.",
        ]
        if data:
            lines += ["", "| data | licence |", "|---|---|", *data]
        if figures:
            lines += ["", "## Figures", "", "| figure | value |", "|---|---|", *figures]
        if self.labels:
            lines += ["", "Labels: " + ", ".join(self.labels) + "."]
        return [*lines, "", "## Use", "", self.use, "", "## Limits", "", self.limits, ""]


def _cell(text: str) -> str:
    """Text that can't end a table's cell or row."""
    return " ".join(text.replace("|", "\\|").split())


def read_license(folder: Path) -> str:
    return _find(r"(?m)^license: *[\"']?([\w.+-]+)[\"']? *$", _read_front_matter(folder))


def read_base(folder: Path) -> str:
    """Return the name of the model that a folder's model was tuned from, as its card says; ""."""
    return _find(r'(?m)^base_model: *["\']?([^"\'\n]+?)["\']? *$', _read_front_matter(folder))


def is_from_scratch(folder: Path) -> bool:
    """Whether groundup wrote the card, and it names no base model."""
    front = _read_front_matter(folder)
    return "\n- groundup" in front and "\nbase_model:" not in front


def read_title(folder: Path) -> str:
    return _find(r"(?m)^# +(\S.{0,98})", _beginning(folder)).strip()


def _read_front_matter(folder: Path) -> str:
    return _find(r"(?s)\A---\n(.*?)\n---", _beginning(folder))


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        return ""
    return found[1]


def _beginning(folder: Path) -> str:
    file = folder / CARD_FILE
    if not file.is_file():
        return ""
    with file.open(encoding="utf-8", errors="replace") as handle:
        return handle.read(MAX_BEGINNING_CHARACTERS)


GENERATION_FILE = "generation_config.json"
MAX_BYTES = 2**16
# transformers' name -> its types, and whether a value is in range.
_VALID: Mapping[str, tuple[tuple[type, ...], Callable[[Any], bool]]] = {
    "temperature": ((int, float), lambda value: 0 <= value < inf),
    "top_k": ((int,), lambda value: value >= 0),
    "top_p": ((int, float), lambda value: 0 < value <= 1),
    "min_p": ((int, float), lambda value: 0 <= value <= 1),
    "repetition_penalty": ((int, float), lambda value: 0 < value < inf),
}


def read_sampling(folder: Path) -> dict[str, float]:
    """The settings that the publisher recommends; {} where there are none. A value out of range is
    ignored.
    """
    try:
        values = read_json(folder / GENERATION_FILE, max_bytes=MAX_BYTES)
    except FormatError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        name: values[name]
        for name, (types, valid) in _VALID.items()
        if type(values.get(name)) in types and valid(values[name])
    }
