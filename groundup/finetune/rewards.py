"""Rewards: what an answer is worth, as code can check it. Each is a function of the answer's text and
of the task's row (its prompt, its answer, whatever else it has); 1 is right and 0 is wrong, another
scale is as good.

    REWARDS                          the known ones, by name
    load_reward("module:function")   a function of the user's, from a module or a .py file

A function of the user's is ordinary Python that is run: it is trusted as any program that one starts.
"""

import importlib
import importlib.util
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from groundup.errors import ConfigError, DataError, did_you_mean, require_extra
from groundup.evaluate.tasks.answers import numbers_in
from groundup.files import sha256_text

Row: TypeAlias = Mapping[str, Any]
Score: TypeAlias = Callable[[str, Row], float]

ANSWER, CONTEXT = "answer", "context"


@dataclass(frozen=True)
class Reward:
    """A way to score answers."""

    name: str
    score: Score
    rule: str
    """What earns it, in words."""
    check: Callable[[Row], str] = lambda row: ""
    """What is wrong with a row's answer for this reward, or ""."""
    source: str = ""
    """Of a user's function: its text, by which a run is known again."""

    @property
    def fingerprint(self) -> str:
        return sha256_text(f"{self.name} {self.source}")

    def of(self, answer: str, row: Row) -> float:
        """Raises ConfigError where a user's function fails or gives no number."""
        try:
            found = self.score(answer, row)
        except Exception as error:  # a user's function or library raises what it likes
            raise ConfigError(
                f"The reward {self.name} failed for the answer {answer[:60]!r}: {error!r}.",
                fix="Mend the function: it gets the answer's text and the row, and gives a number.",
            ) from error
        if isinstance(found, bool | int | float) and math.isfinite(found):
            return float(found)
        raise ConfigError(
            f"The reward {self.name} gave {found!r} for the answer {answer[:60]!r}, expected a "
            "finite number.",
            fix="Return 1.0 for a right answer and 0.0 for a wrong one, or any number between.",
        )


def _exact(answer: str, row: Row) -> float:
    return float(" ".join(answer.split()) == " ".join(str(row[ANSWER]).split()))


def _number(answer: str, row: Row) -> float:
    wanted, found = numbers_in(str(row[ANSWER])), numbers_in(answer)
    return float(bool(wanted and found) and math.isclose(found[-1], wanted[-1]))


def _regex(answer: str, row: Row) -> float:
    return float(re.fullmatch(str(row[ANSWER]), answer.strip(), re.DOTALL) is not None)


def _schema(answer: str, row: Row) -> float:
    require_extra("rewards", "jsonschema")
    from jsonschema import Draft202012Validator

    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return 0.0
    return float(Draft202012Validator(_schema_of(row)).is_valid(value))


def _schema_of(row: Row) -> Any:
    given = row[ANSWER]
    return json.loads(given) if isinstance(given, str) else given


def _json(answer: str, row: Row) -> float:
    wanted = row[ANSWER]
    try:
        found = json.loads(answer)
        return float(found == (json.loads(wanted) if isinstance(wanted, str) else wanted))
    except (ValueError, RecursionError):
        return 0.0


def _supported(answer: str, row: Row) -> float:
    """The teacher's answers are checked so, too (`distillation`)."""
    from groundup.retrieve.cite import misplaced_names, missing_facts
    from groundup.retrieve.given_passages import given_passage

    if str(row[ANSWER]).lower() not in answer.lower():
        return 0.0
    passage = given_passage(0, row[CONTEXT], "")
    return float(not missing_facts(answer, passage) and not misplaced_names(answer, passage))


def _needs_json(row: Row) -> str:
    try:
        if isinstance(row[ANSWER], str):
            json.loads(row[ANSWER])
    except (ValueError, RecursionError):
        return "is no JSON"
    return ""


def _needs_context(row: Row) -> str:
    context = row.get(CONTEXT)
    if not isinstance(context, str) or not context.strip():
        return f"has no text beside it in {CONTEXT!r}"
    if str(row[ANSWER]).lower() not in context.lower():
        return f"does not stand in the row's {CONTEXT!r}"
    return ""


def _needs_number(row: Row) -> str:
    return "" if numbers_in(str(row[ANSWER])) else "has no number in digits"


def _needs_regex(row: Row) -> str:
    try:
        re.compile(str(row[ANSWER]))
    except re.error as error:
        return f"is no regular expression ({error})"
    return ""


def _needs_schema(row: Row) -> str:
    require_extra("rewards", "jsonschema")
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(_schema_of(row))
    except (ValueError, SchemaError) as error:
        return f"is no JSON schema ({str(error).splitlines()[0][:120]})"
    return ""


REWARDS: dict[str, Reward] = {
    each.name: each
    for each in (
        Reward("exact", _exact, "the answer is the wanted text, but for white space"),
        Reward("number", _number, "the last number in the answer is the wanted one", _needs_number),
        Reward("regex", _regex, "the whole answer matches the row's expression", _needs_regex),
        Reward(
            "json_schema", _schema, "the answer is JSON that fits the row's schema", _needs_schema
        ),
        Reward("json", _json, "the answer is JSON with the wanted value", _needs_json),
        Reward(
            "supported",
            _supported,
            "the answer has the wanted words, and every number and name in it stands in the row's "
            "context",
            _needs_context,
        ),
    )
}


def load_reward(name: str) -> Reward:
    """Return a known reward, or the function of MODULE:FUNCTION or FILE.py:FUNCTION. Raises
    ConfigError.
    """
    if name in REWARDS:
        return REWARDS[name]
    place, colon, function = name.rpartition(":")
    if not colon or not place or not function:
        raise ConfigError(
            f"There is no reward {name!r}.",
            fix=f"{did_you_mean(name, REWARDS)} A function of yours: module:function, or "
            "file.py:function.",
        )
    found = getattr(_module(place, name), function, None)
    if not callable(found):
        raise ConfigError(f"{place} has no function {function!r} for the reward {name}.")
    try:
        parameters = len(inspect.signature(found).parameters)
        source = inspect.getsource(inspect.getmodule(found) or found)
    except (TypeError, ValueError, OSError):
        parameters, source = 2, ""
    if parameters != 2:
        raise ConfigError(
            f"The reward {name} takes {parameters} arguments, expected two: the answer's text and "
            "the row."
        )
    rule = " ".join((inspect.getdoc(found) or "as the function says").split("\n\n")[0].split())
    return Reward(name, found, rule, source=source)


def _module(place: str, name: str) -> Any:
    """Raises ConfigError where it can't be imported."""
    try:
        if place.endswith(".py"):
            path = Path(place)
            spec = importlib.util.spec_from_file_location(f"reward_{path.stem}", path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
        return importlib.import_module(place)
    except Exception as error:  # the user's module or library raises what it likes
        raise ConfigError(
            f"The reward {name} can't be loaded: {error!r}.",
            fix="Name a module of this folder or an installed one, or a .py file.",
        ) from error


def require_fitting(reward: Reward, row: Row, where: str) -> None:
    """Raise DataError where a row's answer is not what its reward needs."""
    if reward.name in REWARDS and ANSWER not in row:
        raise DataError(
            f"{where} has no {ANSWER!r}, which the reward {reward.name} compares with.",
            fix='Write rows as {"prompt": ..., "answer": ..., "reward": "number"}.',
        )
    wrong = reward.check(row)
    if wrong:
        raise DataError(f"{where}: its answer {wrong}, for the reward {reward.name}.")
