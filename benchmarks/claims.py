"""The claims: every measured number of README.md and docs/benchmarks.md, with the command that measures it again.

python benchmarks/claims.py ID [--json] [--keep] [--from FILE]     or: make claim ID=near-duplicates
python benchmarks/claims.py --list [--json]

Runs the command of a claim of benchmarks/claims.toml and prints, for each of its results, the old value, the new one, and whether the new one lies
within the claim's tolerance. Exit code 0: all inside; 1: one or more outside; 2: it could not be measured here, and why. --keep writes the run to
benchmarks/claim_runs/ID.json, which --list shows as the last run; --from compares what the command left or printed earlier, in place of running it.
tests/test_claims.py holds the file against the pages. Not a verb of groundup: an installed package has neither the pages nor the benchmarks.
"""

import argparse
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from claim_pages import ROOT, Block

FILE = Path(__file__).parent / "claims.toml"
RUNS = Path(__file__).parent / "claim_runs"
NO_RUN = "no stored run"


class CanNotMeasure(Exception):
    """Why a claim can't be measured here, in one sentence."""


@dataclass(frozen=True)
class Result:
    """One number that the command gives."""

    name: str
    old: str
    """As the page that is most exact has it: "8.44", "98.1"."""
    at: tuple[str, ...] = ()
    """Where in the command's JSON: keys; in a list of rows, values that the row has, then the row's key."""
    over: tuple[str, ...] = ()
    """The divisor's place, where the number is a ratio of two."""
    find: str = ""
    """Instead of `at`: a regular expression with one group, for the last match in what the command prints."""
    times: float = 1.0
    """A factor: 100 for percents of a share."""
    relative: float | None = None
    absolute: float | None = None
    """How far the new value may lie from the old one, as a share of the old one or in its unit; else the claim's."""
    rounded: tuple[str, ...] = ()
    """The same number as other places round it."""


@dataclass(frozen=True)
class Claim:
    """A measurement, its results, and the blocks of pages whose numbers it covers."""

    id: str
    what: str
    command: tuple[str, ...]
    """Run one after the other; {folder} is a folder of their own, {json} the file `reads` in it. Empty: nobody can run it again."""
    machine: str
    date: date | None
    seeds: str
    relative: float = 0.0
    absolute: float = 0.0
    needs: tuple[str, ...] = ()
    """Packages, or files below the clone, without which it can't run."""
    models: tuple[str, ...] = ()
    """Public models that have to be in the cache."""
    minutes: float = 0.0
    reads: str = "out.json"
    """The JSON that the last command leaves in {folder}; where it leaves none, what it prints is read."""
    cheap: str = ""
    """"offline" or "network": seconds long and the same on each machine, so a test runs it in CI."""
    why: str = ""
    """Where no command is: how it was measured, and why not again."""
    results: tuple[Result, ...] = ()
    blocks: tuple[Block, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Measured:
    """A result, measured again."""

    name: str
    old: float
    new: float
    tolerance: float
    inside: bool


def read_claims(file: Path = FILE) -> dict[str, Claim]:
    """Return the claims by id. Raises CanNotMeasure where the file is missing."""
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise CanNotMeasure(f"{file} is missing: claims are measured from a clone.") from None
    return {name: claim_of(name, entry) for name, entry in raw.items()}


def claim_of(name: str, entry: dict[str, Any]) -> Claim:
    """Return one entry as a claim. Raises TypeError for a key that claims don't have."""
    entry = dict(entry)
    results = tuple(
        Result(result, **{key: tuple(v) if isinstance(v, list) else v for key, v in keys.items()})
        for result, keys in entry.pop("results", {}).items()
    )
    stands = tuple(
        Block.said(place["page"], place["section"], line)
        for place in entry.pop("stands", [])
        for line in place["numbers"].strip().splitlines()
    )
    given = {"machine": "", "date": None, "seeds": "none", **entry}
    for key in ("command", "needs", "models"):
        value = given.get(key, ())
        given[key] = (value,) if isinstance(value, str) else tuple(value)
    return Claim(id=name, results=results, blocks=stands, **given)


def measure(claim: Claim) -> tuple[list[Measured], dict[str, Any]]:
    """Run the claim's command and return its results and the machine. Raises CanNotMeasure."""
    require(claim)
    length = f"about {claim.minutes:g} min on the machine named"
    print(f"{claim.id}: {claim.what}; {length}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / claim.reads
        printed = ""
        for command in claim.command:
            printed = run(command.replace("{json}", str(out)).replace("{folder}", folder))
        found = json.loads(out.read_text("utf-8")) if out.exists() else json_of(printed)
    from measure import machine

    return [compared(claim, result, found, printed) for result in claim.results], machine()


def read_earlier(claim: Claim, file: Path) -> tuple[list[Measured], dict[str, Any]]:
    """Return the results of a run that was made before, and its machine as far as the file names it. Raises CanNotMeasure."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CanNotMeasure(f"--from {file} can't be read: {error}") from None
    found = json_of(text)
    named = found if isinstance(found, dict) else {}
    here = {"date": named.get("created", "")[:10], **named.get("machine", {})}
    return [compared(claim, result, found, text) for result in claim.results], here


def require(claim: Claim) -> None:
    """Raises CanNotMeasure where the claim has no command, or lacks a package, a file or a model."""
    if not claim.command:
        raise CanNotMeasure(f"{claim.id} has no command to run again: {claim.why}")
    for name in claim.needs:
        there = (ROOT / name).exists() if "/" in name else importlib.util.find_spec(name)
        if not there:
            raise CanNotMeasure(f"{claim.id} needs {name}, which is not here: {way_to_get(name)}.")
    for name in claim.models:
        from groundup.files import cache_folder

        if not (cache_folder("models") / name).exists():
            raise CanNotMeasure(f"{claim.id} needs a public model: groundup pull {name}")


def way_to_get(name: str) -> str:
    """Return what installs a package, or makes a peer's environment."""
    environment = name.partition("/")[0]
    if "/" not in name:
        return f"pip install {name.replace('_', '-')}"
    if f" {environment}\n" in (ROOT / "Makefile").read_text("utf-8"):
        return f"make {environment}/bench.done"
    return "the first lines of the benchmark say how it is made"


def run(command: str) -> str:
    """Run one command in the clone, its output on standard error too; what it printed. Raises CanNotMeasure when it fails."""
    words = shlex.split(command)
    settings = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        settings[name] = value
    python = {"python": [sys.executable], "groundup": [sys.executable, "-m", "groundup"]}
    words = [*python.get(words[0], words[:1]), *words[1:]]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, **settings}
    print(f"$ {command}", file=sys.stderr, flush=True)
    lines = []
    try:
        with subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", file=sys.stderr)
                lines.append(line)
    except OSError as error:
        raise CanNotMeasure(f"{words[0]} can't be started ({error.strerror}): {command}") from None
    if process.returncode:
        raise CanNotMeasure(f"The command ended with {process.returncode}: {command}")
    return "".join(lines)


def json_of(printed: str) -> Any:
    """Return what a command printed as JSON, or None."""
    try:
        return json.loads(printed)
    except json.JSONDecodeError:
        return None


def compared(claim: Claim, result: Result, found: Any, printed: str) -> Measured:
    """Return one result with its old value and the tolerance. Raises CanNotMeasure where it is not in what the command gave."""
    if result.find:
        matches = re.findall(result.find, printed)
        if not matches:
            raise CanNotMeasure(f"{claim.id}: the command printed nothing like {result.find!r}.")
        new = number(matches[-1])
    else:
        new = value_at(claim, found, result.at)
        new /= value_at(claim, found, result.over) if result.over else 1
    old, new = number(result.old), new * result.times
    absolute = result.absolute if result.absolute is not None else claim.absolute
    relative = result.relative if result.relative is not None else claim.relative
    tolerance = max(absolute, relative * abs(old), half_a_digit(result.old))
    return Measured(result.name, old, new, tolerance, abs(new - old) <= tolerance * (1 + 1e-9))


def value_at(claim: Claim, found: Any, at: Sequence[str]) -> float:
    """Follow keys and values of rows. Raises CanNotMeasure, with the benchmark's own reason where it skipped the table."""
    value = found
    for key in at:
        if isinstance(value, list):
            rows = [row for row in value if key in map(str, row.values())]
            value = rows or (value[0].get(key) if len(value) == 1 else None)
        else:
            value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, (int, float)):
        return float(value)
    skipped = found.get("skipped") if isinstance(found, dict) else None
    reason = (
        f": {'; '.join(skipped.values())}"
        if skipped
        else ", which a peer that is missing explains."
    )
    raise CanNotMeasure(f"{claim.id}: the command gave no {' / '.join(at)}{reason}")


def number(text: str) -> float:
    """Return a number as pages write it: "1,192,833", "+3.48"."""
    return float(text.replace(",", ""))


def half_a_digit(text: str) -> float:
    """Return half of the last digit that is written: the page's own rounding."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2])


def last_run(claim: Claim) -> dict[str, Any] | None:
    """Return the run that is kept in the clone, or None."""
    file = RUNS / f"{claim.id}.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def run_of(claim: Claim, earlier: Path | None) -> dict[str, Any]:
    """Measure a claim, or read what was measured `earlier`; what is printed and kept. Raises CanNotMeasure."""
    started = time.perf_counter()
    results, here = read_earlier(claim, earlier) if earlier else measure(claim)
    return {
        "id": claim.id,
        "command": claim.command,
        "machine": here,
        "seconds": None if earlier else round(time.perf_counter() - started, 1),
        "results": [asdict(each) for each in results],
        "inside": all(each.inside for each in results),
    }


def run_lines(claim: Claim, done: dict[str, Any]) -> Iterator[str]:
    """Yield what a person reads of a run."""
    width = max(len(each["name"]) for each in done["results"])
    yield f"{'':{width}}  {'old':>12} {'new':>12} {'tolerance':>12}"
    for each in done["results"]:
        old, new, tolerance = (shown(each[key]) for key in ("old", "new", "tolerance"))
        where = "inside" if each["inside"] else "OUTSIDE"
        yield f"{each['name']:{width}}  {old:>12} {new:>12} {'± ' + tolerance:>12}  {where}"
    here = done["machine"]
    yield f"Old: {claim.date}, {claim.machine}; seeds: {claim.seeds}."
    machine = ", ".join(
        f"{name} {here[name]}" for name in ("cores", "processor", "load") if name in here
    )
    took = f"; {done['seconds']:g} s" if done["seconds"] else ""
    yield f"New: {here['date']}, {machine}{took}."


def shown(value: float) -> str:
    """Return counts with all their digits, measured values with six."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.6g}"


def list_lines(claims: Sequence[Claim]) -> Iterator[str]:
    """Yield a line a claim."""
    width = max(len(claim.id) for claim in claims)
    for claim in claims:
        took = f"{claim.minutes:g} min" if claim.command else "not run again"
        yield f"{claim.id:{width}}  {took:>13}  {said(claim, last_run(claim)):19}  {claim.what}"


def said(claim: Claim, done: dict[str, Any] | None) -> str:
    """Return a kept run in some words."""
    if not claim.command:
        return ""
    if done is None:
        return NO_RUN
    return f"{done['machine']['date']}: {'inside' if done['inside'] else 'outside'}"


def chosen(name: str, claims: dict[str, Claim]) -> Claim:
    """Return the claim of that id. Raises CanNotMeasure."""
    if name in claims:
        return claims[name]
    near = get_close_matches(name, claims, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise CanNotMeasure(f"No claim has the id {name!r}.{meant} --list shows all {len(claims)}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run or list; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("id", nargs="?", help="the claim to measure again")
    parser.add_argument("--list", action="store_true", help="all claims, with their last runs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--keep", action="store_true", help="keep the run in benchmarks/claim_runs")
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="earlier", help="the command's JSON or output"
    )
    asked = parser.parse_args(arguments)
    try:
        claims = read_claims()
        if asked.list or not asked.id:
            rows = [{**asdict(each), "last_run": last_run(each)} for each in claims.values()]
            lines = list_lines([*claims.values()])
            print(json.dumps(rows, indent=1, default=str) if asked.json else "\n".join(lines))
            return 0
        claim = chosen(asked.id, claims)
        done = run_of(claim, asked.earlier)
    except CanNotMeasure as reason:
        print(reason, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped: nothing was kept.", file=sys.stderr)
        return 130
    print(json.dumps(done, indent=1) if asked.json else "\n".join(run_lines(claim, done)))
    if asked.keep:
        from groundup.files import write_json

        RUNS.mkdir(exist_ok=True)
        write_json(RUNS / f"{claim.id}.json", done)
    return 0 if done["inside"] else 1


if __name__ == "__main__":
    sys.exit(main())
