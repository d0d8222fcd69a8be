"""What a model wrote, evaluation by evaluation, in bounded memory: evenly spread over the run, the first and the last always there."""

from dataclasses import dataclass, field
from typing import Any

from groundup.report.downsampling import EvenSample
from groundup.report.values import JsonObject, number, text
from groundup.report.words import first_letters

MAX_EVALUATIONS = 100
MAX_PROMPTS = 16
MAX_CHARACTERS = 4000


@dataclass
class SampleHistory:
    """The samples of a run."""

    _spread: EvenSample = field(default_factory=lambda: EvenSample(MAX_EVALUATIONS))
    _open: dict[str, Any] = field(default_factory=dict)

    def add(self, record: JsonObject) -> None:
        """One more sample; those of a step come one after the other."""
        step = number(record, "step")
        if step is None:
            return
        if self._open.get("step") != step:
            self._open = {"step": step, "written": []}
            self._spread.add(self._open)
        if len(self._open["written"]) < MAX_PROMPTS:
            self._open["written"].append(_shown(record))

    def evaluations(self) -> list[JsonObject]:
        """[{"step": ..., "written": [{"prompt", "text", "repetition", "longest_copy", "copied_text"}, ...]}, ...]"""
        return self._spread.records()


def _shown(record: JsonObject) -> dict[str, Any]:
    words = {key: first_letters(text(record, key), MAX_CHARACTERS) for key in ("prompt", "text", "copied_text")}
    return {**words, **{key: number(record, key) for key in ("repetition", "longest_copy")}}
