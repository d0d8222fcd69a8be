"""tau2-bench's airline through groundup's actions: how many cases end in the right state.

python benchmarks/tau2_airline.py [--split train|test] [--meaning] [--users FILE] [--talks] [--json OUT]

The benchmark's database becomes a world (tau2_world.py), its policy the rules of tau2_firm/actions.toml, and scripted users (tau2_users.py)
ask for what their case's scenario has. At the end the world is compared with what the benchmark's right actions make of the database, by
its own tools and its own hash. Beside it stands an assistant that does nothing. Messages are read by rules: no language model takes part.
"""

import argparse
import json
import math
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from tau2_users import ScriptedUser, Talk, converse, read_users
from tau2_world import cities, database, fill_world, hash_of, policy, right_state, state_of, tasks

from groundup.actions.desk import ActionDesk
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_meaning import Embed
from groundup.actions.state import ActionTurn
from groundup.device import select_compute
from groundup.progress import Silent
from groundup.retrieve.vectors import embed_with

FIRM = Path(__file__).parent / "tau2_firm"
TODAY = date(2024, 5, 15)  # of the policy
Z = 1.96
# After these turns a message is asked for what else may be done.
OVER, ELSE = ("done", "refused", "cancelled", "failed"), "What else may I do?"
WRITES = {
    "cancel": "cancel_reservation",
    "change_cabin": "update_reservation_flights",
    "change_flights": "update_reservation_flights",
    "add_bags": "update_reservation_baggages",
    "change_passenger": "update_reservation_passengers",
    "compensate": "send_certificate",
    "book": "book_reservation",
}


@dataclass(frozen=True)
class Outcome:
    """How a case ended with one user."""

    task: str
    variant: int
    writes: bool
    right: bool
    nothing_right: bool
    told: bool
    """Whether all was said that the benchmark wants to be said."""
    extra: tuple[str, ...]
    """Writes that the right actions do not have."""
    cause: str
    talk: Talk


def make_firm(folder: Path) -> Path:
    """Write the pack with the policy's lines in the place of their numbers; return its folder."""
    folder.mkdir()
    lines = policy().splitlines()
    text = (FIRM / "actions.toml").read_text("utf-8")
    quoted = re.sub(
        r'"line (\d+)"', lambda match: json.dumps(lines[int(match[1]) - 1].strip(" -")), text
    )
    (folder / "actions.toml").write_text(quoted, "utf-8")
    shutil.copy(FIRM / "world.sql", folder)
    return folder


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson's score interval)."""
    if not n:
        return 0.0, 1.0
    p = right / n
    middle, half = p + Z * Z / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return (middle - half) / (1 + Z * Z / n), (middle + half) / (1 + Z * Z / n)


class AskedChooser(ActionChooser):
    """Takes a message that answers "What shall I do?" for a request, whatever its form."""

    after_menu = False

    def choose(self, message: str, labels: Iterable[str] = (), **options: Any) -> str | None:
        """Return the action that a message asks for."""
        found = super().choose(message, labels, **options)
        if found is None and self.after_menu:
            return super().choose(f"Please {message}", labels, **options)
        return found


class Airline:
    """Runs cases, each in a copy of one world."""

    def __init__(self, folder: Path, embed: Embed | None = None) -> None:
        self.folder = folder
        self.found = database()
        self.firm = make_firm(folder / "firm")
        self.base = folder / "base.sqlite"
        ActionDesk(self.firm, world=self.base, today=TODAY)
        fill_world(self.base, self.found, cities())
        shutil.copy(self.base, folder / "world.sqlite")
        self.desk = ActionDesk(self.firm, world=folder / "world.sqlite")
        self.chooser = AskedChooser(self.desk.actions.actions, embed)
        self.desk.chooser = self.chooser
        self.begin = hash_of(state_of(self.base, self.found))
        if self.begin != hash_of(right_state(self.found, [])):
            raise SystemExit("The world is not what the benchmark's database has.")
        self.wanted: dict[str, str] = {}

    def _wanted(self, name: str, actions: list[dict[str, Any]]) -> str:
        if name not in self.wanted:
            self.wanted[name] = hash_of(right_state(self.found, actions))
        return self.wanted[name]

    def _reply(self, name: str, said: list[str]) -> ActionTurn | None:
        """Return the turn of an action; the question that waits where the message is no answer to it, as the assistant does."""
        turn = self.desk.turn(name, said, today=TODAY)
        is_over = turn is None or (turn.kind in OVER and not turn.yes_no and turn.asked is None)
        self.chooser.after_menu = is_over
        if turn is not None and is_over:
            return replace(turn, text=f"{turn.text} {ELSE}")
        if turn is not None:
            return turn
        waiting = self.desk.pending(name, said)
        return None if waiting is None else replace(waiting, text=waiting.unread)

    def outcome(self, case: dict[str, Any], user: ScriptedUser) -> Outcome:
        """Run a case with a user."""
        actions = case["evaluation_criteria"]["actions"] or []
        wanted = self._wanted(case["id"], actions)
        shutil.copy(self.base, self.desk.world.file)
        name, self.chooser.after_menu = f"{user.task}-{user.variant}", False
        talk = converse(user, lambda said: self._reply(name, said))
        done = [
            line
            for line in self.desk.world.audit()
            if line.result == "done" and line.action in WRITES
        ]
        right = (
            hash_of(state_of(self.desk.world.file, self.found)) if done else self.begin
        ) == wanted
        left = Counter(_of_gold(action) for action in actions)
        extra = []
        for line in done:
            reservation = (
                "" if line.action == "compensate" else str(line.values.get("reservation") or "")
            )
            key = (WRITES[line.action], reservation)
            is_named = key in left
            left[key] -= 1
            if not is_named:
                extra.append(f"{line.action} {line.values.get('reservation') or ''}".strip())
        told = all(
            each.lower() in talk.told
            for each in case["evaluation_criteria"].get("communicate_info") or []
        )
        cause = "" if right else _cause(left, extra, done, talk)
        return Outcome(
            user.task,
            user.variant,
            wanted != self.begin,
            right,
            wanted == self.begin,
            told,
            tuple(extra),
            cause,
            talk,
        )


def _of_gold(action: dict[str, Any]) -> tuple[str, str]:
    return action["name"], str(action["arguments"].get("reservation_id") or "")


def _cause(left: Counter[tuple[str, str]], extra: list[str], done: list[Any], talk: Talk) -> str:
    """Return why the state is wrong."""
    missing = [name for name, count in left.items() if count > 0 and name[0] in WRITES.values()]
    if extra:
        return "a write that should not be"
    if not missing:
        return "the right write with another value"
    return ", ".join(dict.fromkeys(talk.why)) or "the wish was not taken up"


def show(outcomes: list[Outcome]) -> None:
    """Print the table."""
    print(f"{'':<30}{'right':>8}{'of':>5}{'share':>8}   {'95 % interval':<16}{'doing nothing':>14}")
    variants = sorted({each.variant for each in outcomes})
    groups = [
        ("all cases", outcomes),
        ("cases that need a write", [each for each in outcomes if each.writes]),
        ("cases that need none", [each for each in outcomes if not each.writes]),
    ]
    for variant in [*variants, None]:
        for title, group in groups:
            part = [each for each in group if variant is None or each.variant == variant]
            right, n = sum(each.right for each in part), len(part)
            low, high = wilson(right, n)
            name = f"{'all users' if variant is None else f'users {variant}'}: {title}"
            nothing = sum(each.nothing_right for each in part)
            print(
                f"{name:<36}{right:>4}{n:>5}{100 * right / max(1, n):>7.1f} %   {100 * low:>4.1f} to {100 * high:<7.1f}{nothing:>8} of {n}"
            )
    print(
        f"state right and all said that is to be said: {sum(each.right and each.told for each in outcomes)} of {len(outcomes)}"
    )
    print(f"writes that the right actions do not have: {sum(len(each.extra) for each in outcomes)}")
    for each in outcomes:
        if each.extra:
            print(f"   case {each.task}, user {each.variant}: {', '.join(each.extra)}")
    print("causes of wrong states:")
    for cause, count in Counter(each.cause for each in outcomes if each.cause).most_common():
        cases = ", ".join(f"{each.task}/{each.variant}" for each in outcomes if each.cause == cause)
        print(f"   {count:>3}  {cause}: {cases}")


def main() -> None:
    """Run a split twice and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--users", type=Path, help="another file of users")
    meaning = (
        "choose actions by the vectors of all-minilm-l6-v2, too (22M parameters; no language model)"
    )
    parser.add_argument("--meaning", action="store_true", help=meaning)
    parser.add_argument("--only", help="the cases of these numbers, with commas between")
    parser.add_argument(
        "--talks", action="store_true", help="print the conversations of wrong cases, too"
    )
    parser.add_argument(
        "--once", action="store_true", help="without the second run, which must be equal"
    )
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    arguments = parser.parse_args()
    cases = {case["id"]: case for case in tasks(arguments.split)}
    file = arguments.users or FIRM / f"users_{arguments.split}.jsonl"
    if not file.is_file():
        parser.error(f"--users: there is no file {file}; its format is in tau2_users.py")
    users = read_users(file)
    users = [
        user
        for user in users
        if user.task in cases and (not arguments.only or user.task in arguments.only.split(","))
    ]
    users.sort(key=lambda user: (user.variant, int(user.task)))
    with tempfile.TemporaryDirectory() as folder:
        embed = (
            embed_with("all-minilm-l6-v2", select_compute("cpu"), Silent())
            if arguments.meaning
            else None
        )
        airline = Airline(Path(folder), embed)
        outcomes = [airline.outcome(cases[user.task], user) for user in users]
        if not arguments.once:
            again = [airline.outcome(cases[user.task], user) for user in users]
            print(f"second run equal: {'yes' if again == outcomes else 'NO'}")
    show(outcomes)
    for each in outcomes:
        if arguments.talks and each.cause:
            print(f"\n## case {each.task}, user {each.variant}: {each.cause}")
            print("\n".join(f"{who:>9}: {text}" for who, text in each.talk.lines))
    if arguments.json:
        fields = ("task", "variant", "writes", "right", "told", "cause", "extra")
        rows = [{name: getattr(each, name) for name in fields} for each in outcomes]
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
