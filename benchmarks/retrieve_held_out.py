"""Answers to a held-out set as a whole: an index a firm, all its questions asked by the first reader and by both, and the shares over all firms.

python benchmarks/retrieve_held_out.py sixth [--encoder all-mpnet-base-v2] [--json OUT]

The sets from the fourth on have a folder a firm with documents/ and questions.jsonl. Without the encoder only the first reader is asked. What is
right and refused, and the intervals (exact, 95 %), are those of `groundup evaluate INDEX --questions` (retrieve/answer_evaluation.py).
"""

import argparse
import json
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from measure import machine

import groundup
from groundup.cli.console import console_progress, table
from groundup.files import cache_folder
from groundup.retrieve.answer_evaluation import ExactShare, share

HELD_OUT = Path(__file__).parent / "held_out"
FIGURES = ("right", "false_refusals", "unanswerable_refused", "error")
ENCODER = "all-mpnet-base-v2"


def main() -> None:
    """Ask, print the table, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=("fourth", "fifth", "sixth", "seventh", "eighth", "ninth"))
    parser.add_argument("--encoder", default=ENCODER, help="of the second reader")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    asked = parser.parse_args()
    encoders = ["none", asked.encoder]
    if not (cache_folder("models") / asked.encoder).exists():
        print(f"The second reader is left out: groundup pull {asked.encoder}")
        encoders.pop()
    found = defaultdict[str, list[dict[str, ExactShare]]](list)
    for firm in sorted(each.parent for each in (HELD_OUT / asked.set).glob("*/questions.jsonl")):
        for name, figures in answers_of(firm, encoders).items():
            found[name].append(figures)
    sums = {
        name: {each: summed([firm[each] for firm in firms]) for each in FIGURES}
        for name, firms in found.items()
    }
    rows = [[name, *map(shown, figures.values())] for name, figures in sums.items()]
    print("\n".join(table(["", *FIGURES], rows)))
    if asked.json is not None:
        answerers = {
            name: {each: asdict(share) for each, share in figures.items()}
            for name, figures in sums.items()
        }
        results = {"machine": machine(), "set": asked.set, "answerers": answerers}
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


def answers_of(firm: Path, encoders: list[str]) -> dict[str, dict[str, ExactShare]]:
    """Return the figures of every way to answer one firm's questions."""
    progress, found = console_progress(), {}
    with tempfile.TemporaryDirectory() as folder:
        for encoder in encoders:
            groundup.index(firm / "documents", folder, vectors=(None, encoder), progress=progress)
            asked = groundup.run_questions(folder, firm / "questions.jsonl", progress=progress)
            name = "first reader" if encoder == "none" else "both readers"
            for each in asked.figures:
                shares = {figure: getattr(each, figure) for figure in FIGURES}
                found[name if each.name == "ask" else each.name] = shares
    return found


def summed(shares: list[ExactShare]) -> ExactShare:
    """Return the share over all firms."""
    return share(sum(each.hits for each in shares), sum(each.n for each in shares))


def shown(found: ExactShare) -> str:
    """Return a share in percent with its interval."""
    value = 100 * (found.value or 0)
    return f"{value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f}, n = {found.n})"


if __name__ == "__main__":
    main()
