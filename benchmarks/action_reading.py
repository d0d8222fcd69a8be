"""Which action a message asks for: how many requests have their action, and how many questions that documents answer start one.

python benchmarks/action_reading.py [--words] [--json OUT]

By meaning, too, where the encoder is on this machine and --words is not given.

Requests and near questions are those of benchmarks/held_out/actions: 40 messages a pack, written before `groundup/actions/intent.py` and before the
packs' examples, and without sight of either; without those that ask for something that a pack turned out not to do. Questions: the answerable ones of
each pack (questions.jsonl) and of benchmarks/held_out and held_out/second. Of values: tests/actions/said_values.jsonl, all of which are read right.
"""

import argparse
import json
from pathlib import Path

from groundup.actions.action_file import read_actions
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_meaning import MessageEncoder
from groundup.device import select_compute
from groundup.packs.pack import PACKAGED
from groundup.progress import Silent
from groundup.retrieve.message_encoder import find_message_encoder

HELD_OUT = Path(__file__).parent / "held_out"


def lines(file: Path) -> list[dict]:
    """Return the rows of a file of JSON lines."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def answerable(pack: str) -> list[str]:
    """Return the questions that documents of a pack answer."""
    own = lines(PACKAGED / pack / "questions.jsonl")
    held = [row for part in ("", "second") for row in lines(HELD_OUT / part / f"{pack}.jsonl")]
    questions = [row["question"] for row in own if row["document"]]
    return questions + [row["question"] for row in held if row["kind"] == "answerable"]


def measured(pack: str, encoder: MessageEncoder | None = None) -> dict[str, int | str]:
    """Return the counts of a pack; `encoder`: None: by words alone."""
    actions = read_actions(PACKAGED / pack)
    assert actions is not None
    choose = ActionChooser(actions.actions, encoder).choose
    rows = lines(HELD_OUT / "actions" / f"{pack}.jsonl")
    requests = [(choose(row["text"]), row["actions"]) for row in rows if row["actions"]]
    near = [choose(row["text"]) for row in rows if not row["actions"]]
    questions = [choose(question) for question in answerable(pack)]
    return {
        "pack": pack,
        "requests": len(requests),
        "right": sum(found in wanted for found, wanted in requests),
        "another": sum(found is not None and found not in wanted for found, wanted in requests),
        "near": len(near),
        "near_started": sum(found is not None for found in near),
        "questions": len(questions),
        "started": sum(found is not None for found in questions),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    parser.add_argument("--words", action="store_true", help="by words alone")
    arguments = parser.parse_args()
    encoder = None
    if not arguments.words:
        encoder = find_message_encoder(select_compute("cpu"), Silent())
    print("by words alone" if encoder is None else "by words and meaning")
    counts = [
        measured(file.stem, encoder) for file in sorted((HELD_OUT / "actions").glob("*.jsonl"))
    ]
    names = [name for name in counts[0] if name != "pack"]
    counts.append({"pack": "all", **{name: sum(int(c[name]) for c in counts) for name in names}})
    print(f"{'pack':<12}" + "".join(f"{name:>14}" for name in names))
    for row in counts:
        print(f"{row['pack']:<12}" + "".join(f"{row[name]:>14}" for name in names))
    if arguments.json:
        arguments.json.write_text(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
