"""Operating points: from how much evidence on an index answers, as kept with it.

    default     at most MAX_REFUSED of the questions that documents answer are refused
    promised    of the answers shown at most so many are wrong (`risk.py`), from the index's own
                calibration questions

FOLDER/evidence.json has both, by words and by words and vectors; `calibration.py` writes it. An
index without it has the usual least evidence (`evidence.py`), and no promise.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError, FormatError
from groundup.files import read_json
from groundup.risk import Promise

EVIDENCE_FILE = "evidence.json"
# Of the questions that documents answer.
MAX_REFUSED = 0.05
DEFAULT, PROMISED, ASKED = "default", "promised", "min_evidence"
REMADE = "Make the index again."


@dataclass(frozen=True)
class OperatingPoint:
    """From how much evidence on a question is answered, and why."""

    name: str
    """DEFAULT, PROMISED, or ASKED: a value that was asked for."""
    least: float
    """0 to 1."""
    promise: Promise | None = None
    """Of the index, whichever the operating point is; None: it has no calibration questions."""

    def promises(self, evidence: float) -> bool:
        """Whether an answer with this evidence is one of those that the promise is about."""
        return self.promise is not None and evidence >= max(self.least, self.promise.least)

    def to_plain(self) -> dict[str, str | float | dict[str, float] | None]:
        """Return JSON values."""
        promise = None if self.promise is None else asdict(self.promise)
        return {"operating_point": self.name, "least_evidence": self.least, "promise": promise}


# Of an answer from elsewhere.
NO_POINT = OperatingPoint(ASKED, 0.0)


def operating_point(
    folder: Path | None,
    by: str,
    usual: float,
    *,
    min_evidence: float | None = None,
    promised: bool = False,
) -> OperatingPoint:
    """Return the operating point of the index in `folder` for evidence `by`; None: of what stands
    in an index's place.

    `usual`: the least evidence where none was chosen. Raises ConfigError where a promise is wanted
    and there is none, FormatError for a damaged file.
    """
    kept = _read(folder) if folder else {}
    least, promise = _least(folder, kept, by, usual), _promise(folder, kept, by)
    if min_evidence is not None:
        return OperatingPoint(ASKED, min_evidence, promise)
    if not promised:
        return OperatingPoint(DEFAULT, least, promise)
    if promise is None:
        # No path of this machine: a server sends this to its clients.
        fix = "Give it questions with known answers: groundup index --out INDEX --questions FILE"
        if folder is None:
            fix = "Ask an index."
        raise ConfigError("The index has no promised error rate.", fix=fix)
    return OperatingPoint(PROMISED, promise.least, promise)


def _read(folder: Path) -> Mapping[str, Any]:
    file = folder / EVIDENCE_FILE
    if not file.is_file():
        return {}
    kept = read_json(file)
    if not isinstance(kept, dict) or not isinstance(kept.get("least"), dict):
        raise FormatError(file, "least", "is no object", fix=REMADE)
    return kept


def _least(folder: Path | None, kept: Mapping[str, Any], by: str, usual: float) -> float:
    found = kept.get("least", {}).get(by, usual)
    if isinstance(found, float) and 0 <= found <= 1:
        return found
    file = Path(folder or "") / EVIDENCE_FILE
    raise FormatError(file, f"least.{by}", "is no number from 0 to 1", fix=REMADE)


def _promise(folder: Path | None, kept: Mapping[str, Any], by: str) -> Promise | None:
    promises = kept.get("promise", {})
    found = promises.get(by) if isinstance(promises, dict) else promises
    if found is None:
        return None
    names = {field.name for field in fields(Promise)}
    if (
        isinstance(found, dict)
        and found.keys() == names
        and all(isinstance(value, int | float) and value >= 0 for value in found.values())
        and max(found["error"], found["confidence"], found["least"]) <= 1
    ):
        return Promise(**found)
    file = Path(folder or "") / EVIDENCE_FILE
    raise FormatError(file, f"promise.{by}", "is no promise", fix=REMADE)
