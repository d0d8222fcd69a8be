"""research.jsonl: what was asked and chosen, then a line for each try, then the test figures. The
same command reads it again and goes on.

    {"event": "begin", "asked": ..., "baseline": ..., "left_out": ..., "step_s": ...}
    {"event": "try", "round": 1, "name": "untied", "seed": 0, "bits_per_byte": 2.31, ...}
    {"event": "time", "name": "together", "step_s": ...}
    {"event": "test", "tokens": ..., "baseline": [...], "best": [...]}

The whole file is written anew with each line, so that it is never half-written.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError
from groundup.evaluate.paired import mean_difference
from groundup.files import json_bytes, write_bytes
from groundup.research.results import ResearchTry, SealedTest
from groundup.runs import read_lines

FRESH = "Start again with `fresh`, or choose another folder for `out`."


class ResearchLog:
    """Raises FormatError where the file is damaged."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lines = list(read_lines(file))
        self.tries: dict[tuple[int, str, int], ResearchTry] = {}
        for line in self._of("try"):
            found = self._try({**line, "bits_per_byte": line.get("bits_per_byte") or float("inf")})
            self.tries[found.round, found.name, found.seed] = found

    def _of(self, event: str) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in line.items() if name != "event"}
            for line in self._lines
            if line.get("event") == event
        ]

    def _try(self, values: Mapping[str, Any]) -> ResearchTry:
        try:
            return build_config(ResearchTry, values)
        except ConfigError as error:
            raise FormatError(self.file, "try", error.message, fix=FRESH) from error

    def begun(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was chosen at the beginning; None: nothing was. Raises ConfigError where something
        else was asked.
        """
        found = self._of("begin")
        if not found:
            return None
        before = found[0].get("asked")
        if not isinstance(before, dict):
            raise FormatError(self.file, "asked", "is no table", fix=FRESH)
        other = [name for name in asked if before.get(name) != asked[name]]
        if other:
            message = f"{self.file.parent} holds another research: {', '.join(other)} differ."
            raise ConfigError(message, fix=FRESH)
        return found[0]

    def test(self) -> SealedTest | None:
        """The test figures, once they are measured. Raises FormatError."""
        for line in self._of("test"):
            try:
                base, best = (tuple(map(float, line[name])) for name in ("baseline", "best"))
                return SealedTest(int(line["tokens"]), base, best, mean_difference(base, best))
            except (KeyError, TypeError, ValueError) as error:
                raise FormatError(self.file, "test", str(error), fix=FRESH) from error
        return None

    def of_round(self, number: int) -> dict[tuple[str, int], ResearchTry]:
        """Its tries so far, by name and seed."""
        return {key[1:]: each for key, each in self.tries.items() if key[0] == number}

    def timed(self, name: str) -> float | None:
        """The seconds of a step that were measured on the way; None: they were not."""
        found = [line.get("step_s") for line in self._of("time") if line.get("name") == name]
        if found and isinstance(found[0], float) and found[0] > 0:
            return found[0]
        return None

    def time(self, name: str, step_s: float) -> None:
        self._append("time", {"name": name, "step_s": step_s})

    def begin(self, **chosen: Any) -> None:
        self._append("begin", chosen)

    def tried(self, found: ResearchTry) -> None:
        self.tries[found.round, found.name, found.seed] = found
        line = asdict(found)
        if found.failed:
            line["bits_per_byte"] = None
        self._append("try", line)

    def tested(self, found: SealedTest) -> None:
        line = {"tokens": found.tokens, "baseline": found.baseline, "best": found.best}
        self._append("test", line)

    def _append(self, event: str, values: Mapping[str, Any]) -> None:
        """Raises DiskError."""
        self._lines.append({"event": event, **values})
        write_bytes(self.file, b"".join(json_bytes(line) + b"\n" for line in self._lines))
