"""Options of a choice that replies and messages tell without their words: taken, or asked about.

    python benchmarks/told_options.py

By words alone (`read_values`), then by the sentence encoder (`told_option`), on 150 texts of 15
firms with which its least scores were fitted, and on 150 of 15 others (`told_options/README.md`).
"""

import datetime
import json
from collections import Counter
from pathlib import Path

from groundup.actions.definition import Action, Slot
from groundup.actions.intent_meaning import Meanings, fitted_weights
from groundup.actions.message_form import asks_something
from groundup.actions.told_options import LEAST_WORDS, told_option
from groundup.actions.values import read_values
from groundup.device import select_compute
from groundup.progress import Silent
from groundup.retrieve.message_encoder import find_message_encoder

TODAY = datetime.date(2026, 12, 2)
FOLDER = Path(__file__).with_name("told_options")


def outcome(slot: Slot, title: str, text: str, meant: str | None, kind: str, by: Meanings) -> str:
    """Return what becomes of a text that means an option, or none."""
    is_reply = kind == "replies"
    asked = {"replies": slot}.get(kind)
    read = read_values([slot], text, TODAY, asked)
    action = Action(name="action", title=title, done="Done.")
    if read:
        return "right" if read["option"].value == meant else "wrong"
    told = told_option(action, slot, text, by, {"replies": 1}.get(kind, LEAST_WORDS))
    if told is not None and told.is_clear:
        return "right" if told.option == meant else "wrong"
    if told is not None and told.is_either and is_reply and not asks_something(text):
        is_named = meant in (told.option, told.next_one)
        return ("asked, without it", "asked, with it")[is_named]
    return "nothing"


def main() -> None:
    """Print what becomes of the texts of both files."""
    encoder = find_message_encoder(select_compute("cpu"), Silent())
    assert encoder is not None, "all-minilm-l6-v2 is not on this machine"
    by = Meanings({"action": ["x"]}, ["y"], encoder, fitted_weights())
    for file in ("fit.jsonl", "measure.jsonl"):
        counts: dict[str, Counter[str]] = {}
        for line in (FOLDER / file).read_text("utf-8").splitlines():
            firm = json.loads(line)
            options = {name: tuple(each) for name, each in firm["options"].items()}
            slot = Slot("option", "choice", ask=firm["ask"], options=options)
            for kind in ("replies", "messages"):
                for text, meant in firm[kind]:
                    name = f"{kind} that tell {('none', 'one')[meant is not None]}"
                    made = outcome(slot, firm["title"], text, meant, kind, by)
                    counts.setdefault(name, Counter())[made] += 1
        for name, found in counts.items():
            print(f"{file:14} {name:25} {found.total():3}: {dict(found.most_common())}")


if __name__ == "__main__":
    main()
