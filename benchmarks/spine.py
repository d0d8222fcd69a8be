"""The parts of the spine against their peers, one table each: `make bench`, or

python benchmarks/spine.py [--quick] [--only tokenizer|training|generation|streams|additions] [--json OUT]

--quick takes small sizes and two rounds: it shows that everything runs, its figures mean little. docs/benchmarks.md says what each row means.
"""

import argparse
import importlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Before a library reads them: no hub, and both encoders with all cores.
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true", TRANSFORMERS_VERBOSITY="error")

from measure import Skipped, machine, table

# Each a module spine_NAME.py with TITLE and `rows(quick)`.
TABLES = ("tokenizer", "training", "generation", "streams", "additions")


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds")
    parser.add_argument("--only", choices=TABLES, help="one table")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "machine": machine(),
        "quick": options.quick,
        "tables": {},
        "skipped": {},
    }
    print(describe(results["machine"]))
    for name in TABLES if options.only is None else (options.only,):
        measure(name, options.quick, results)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(name: str, quick: bool, results: dict[str, Any]) -> None:
    """One table into `results` and onto the screen."""
    module = importlib.import_module(f"spine_{name}")
    print(f"\n{name}: {module.TITLE}\n", flush=True)
    try:
        rows = module.rows(quick)
    except Skipped as reason:
        results["skipped"][name] = str(reason)
        print(f"Skipped: {reason}")
        return
    results["tables"][name] = [asdict(row) for row in rows]
    print(table(rows), flush=True)


def describe(found: dict[str, Any]) -> str:
    """The machine in one line."""
    packages = ", ".join(
        f"{name} {version}" for name, version in found["packages"].items() if version
    )
    where = (
        f"{found['cores']} cores of {found['processor']}, {found['torch_threads']} torch threads"
    )
    return f"{found['date']}, {where}, load {found['load']}; {packages}"


if __name__ == "__main__":
    main()
