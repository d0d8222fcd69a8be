"""Operating points: from how much evidence on an index answers, as kept with it.

    default     at most MAX_REFUSED of the questions that documents answer are refused
    promised    of the answers shown at most so many are wrong (`risk.py`), from the index's own
                calibration questions

FOLDER/evidence.json has both, by words and by words and vectors; `calibration.py` writes it. An
index without it has the usual least evidence (`evidence.py`), and no promise. A promise holds for
the readers that it was chosen with and the rule that weighed what they said: with others there is
none until it is chosen again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import ConfigError, FormatError, in_command
from groundup.files import read_json
from groundup.retrieve.known_questions import QUESTIONS_FILE
from groundup.risk import Promise

if TYPE_CHECKING:
    from groundup.retrieve.evidence import Evidence

EVIDENCE_FILE = "evidence.json"
# The number of the rule of `evidence.py`: another one for every change after which the same passage
# has other evidence.
RULE = 2
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
    is_outdated: bool = False
    """Whether the index has a promise that was chosen with other readers or by another rule."""

    def no_promise(self, index: Path | None = None) -> ConfigError:
        """Return that nothing is promised, and what to do; of a server's index its clients hear no
        path of this machine.
        """
        name, place = "The index", "INDEX"
        if index is not None:
            name = place = str(index)
        what, file = f"{name} has no promised error rate.", "FILE"
        fix = "Give it questions with known answers"
        if self.is_outdated:
            what = (
                f"{name} has no promised error rate that holds: its own was chosen with other "
                "readers, or by another version of groundup."
            )
            fix, file = "Choose it again", f"{place}/{QUESTIONS_FILE}"
        fix = f"{fix}: groundup index --out {in_command(place)} --questions {in_command(file)}"
        return ConfigError(what, fix=fix)

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
    known: "Evidence",
    *,
    min_evidence: float | None = None,
    promised: bool = False,
) -> OperatingPoint:
    """Return the operating point of the index in `folder` for such evidence; None: of what stands
    in an index's place.

    Raises ConfigError where a promise is wanted and there is none that holds, FormatError for a
    damaged file.
    """
    kept = _read(folder) if folder else {}
    least, promise = _least(folder, kept, known), _promise(folder, kept, known.by)
    point = OperatingPoint(DEFAULT, least, promise)
    if promise is not None and kept.get("chosen_by", {}).get(known.by) != chosen_by(known):
        point = replace(point, promise=None, is_outdated=True)
    if min_evidence is not None:
        return replace(point, name=ASKED, least=min_evidence)
    if not promised:
        return point
    if point.promise is None:
        if folder is None:
            raise ConfigError("The index has no promised error rate.", fix="Ask an index.")
        raise point.no_promise()
    return replace(point, name=PROMISED, least=point.promise.least)


def chosen_by(known: "Evidence") -> dict[str, object]:
    """Return with what a promise is chosen: the rule, and the readers' files."""
    return {"rule": RULE, "readers": list(known.readers)}


def _read(folder: Path) -> Mapping[str, Any]:
    file = folder / EVIDENCE_FILE
    if not file.is_file():
        return {}
    found = read_json(file)
    kept: dict[str, Any] = found if isinstance(found, dict) else {}
    for name, usual in (("least", None), ("chosen_by", {})):
        if not isinstance(kept.get(name, usual), dict):
            raise FormatError(file, name, "is no object", fix=REMADE)
    return kept


def _least(folder: Path | None, kept: Mapping[str, Any], known: "Evidence") -> float:
    found = kept.get("least", {}).get(known.by, known.usual)
    if isinstance(found, float) and 0 <= found <= 1:
        return found
    file = Path(folder or "") / EVIDENCE_FILE
    raise FormatError(file, f"least.{known.by}", "is no number from 0 to 1", fix=REMADE)


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
