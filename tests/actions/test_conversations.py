"""The scripted conversations of the packaged packs, each with the state of the world at its end, what
was done, and words that must or must not be said; and adversarial messages in the middle of them.

conversations/PACK.jsonl has a conversation a line, of one of the kinds in KINDS; invariants.toml what
may never stand in a pack's world; adversarial.txt the messages. No model is used. The figures:

    python tests/actions/test_conversations.py [--words] [--no-attacks] [FILE.jsonl ...]

chosen by meaning, too, where the encoder is on this machine and --words is not given; tests go by
words alone.
"""

import argparse
import datetime
import json
import random
import shutil
import sqlite3
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import groundup.actions.desk
import groundup.actions.world
from groundup.actions.action_file import read_actions
from groundup.actions.amounts import with_amounts
from groundup.actions.desk import ActionDesk
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_meaning import MessageEncoder
from groundup.packs.pack import packaged_packs

HERE = Path(__file__).parent
FILES = sorted((HERE / "conversations").glob("*.jsonl"))
# The latest rounds, in the slow tests.
LATEST = sorted(HERE.glob("conversations_*/*.jsonl"))
KINDS = (
    *("happy", "changed mind", "missing value", "two wishes at once"),
    *("policy refused", "angry", "off topic", "injection"),
)
A_PACK = 40
MESSAGES = (HERE / "adversarial.txt").read_text(encoding="utf-8").splitlines()
INVARIANTS = tomllib.loads((HERE / "invariants.toml").read_text(encoding="utf-8"))
OPEN = {
    number: why.strip()
    for number, _, why in (
        line.partition(" ")
        for line in (HERE / "conversations" / "open.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
}
SEED, TURNS = 33, 1000


@dataclass(frozen=True)
class Conversation:
    """A line of a file."""

    id: str
    kind: str
    today: str
    turns: list[str]
    world: list[dict[str, Any]]
    """Queries on the state at the end, with their rows."""
    must: list[str]
    must_not: list[str]
    audit: list[str] | None = None
    """What was done, in order; "undo NAME" for what was taken back; None: whatever is right."""
    customer: str | None = None
    made: str = ""
    """The day on which the world is made; "": today."""

    @property
    def pack(self) -> str:
        """Its pack's name, with which its id begins."""
        return self.id.rpartition("-")[0]


def conversations(files: Sequence[Path] = FILES) -> Iterator[Conversation]:
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            yield Conversation(**json.loads(line))


ALL = list(conversations())


@pytest.fixture(autouse=True, scope="module")
def no_syncing() -> Iterator[None]:
    """A test's world need not outlive a power cut, and a pack's actions are read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groundup.actions.world, "SYNCHRONOUS", "OFF")
        patch.setattr(groundup.actions.desk, "read_actions", cache(read_actions))
        yield


@cache
def desk_of(pack: str, made: str) -> ActionDesk:
    """A pack's desk, with its world as it is made on a day."""
    file = Path(tempfile.mkdtemp()) / "world.sqlite"
    return ActionDesk(packaged_packs()[pack], world=file, today=datetime.date.fromisoformat(made))


@dataclass
class Played:
    """A conversation on a world of its own."""

    script: Conversation
    folder: Path
    chooser: ActionChooser | None = None
    """By meaning; None: by words."""
    said: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = copy(desk_of(self.script.pack, self.script.made or self.script.today))
        self.seed, self.world = self.desk.world.file, self.folder / "world.sqlite"
        shutil.copy(self.seed, self.world)
        self.desk.world = copy(self.desk.world)
        self.desk.world.file = self.world
        self.desk.trial_customer = self.desk.actions.trial_customer or None
        self.desk.chooser = self.chooser or self.desk.chooser
        self._asked: object = None
        self._forbidden: list[str] = []
        self._database: sqlite3.Connection | None = None

    def say(self, *messages: str) -> "Played":
        """Say messages one after another, as one customer."""
        day = datetime.date.fromisoformat(self.script.today)
        for message in messages:
            self.said.append(message)
            turn = self.desk.turn(
                self.script.id, self.said, today=day, customer=self.script.customer
            )
            self.replies.append(turn.text if turn else "")
        return self

    def rows(self, sql: str) -> list[list[Any]]:
        """Return the rows of a query on the world as it is now."""
        return [list(row) for row in self._open().execute(sql)]

    def _open(self) -> sqlite3.Connection:
        """One connection to the world, beside what it was before: opening it takes longer than most queries."""
        if self._database is None:
            self._database = sqlite3.connect(self.world)
            self._database.execute("ATTACH ? AS before", (str(self.seed),))
        return self._database

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    @property
    def done(self) -> list[str]:
        """What was done, by the audit."""
        lines = self.rows("SELECT effect, action FROM audit WHERE result = 'done' ORDER BY id")
        return [f"undo {action}" if effect == "undo" else action for effect, action in lines]

    @property
    def forbidden(self) -> list[str]:
        """What stands in the world and never may."""
        written = self.world.stat().st_mtime_ns, self.world.stat().st_size
        if written != self._asked:
            known = {"today": self.script.today, "customer": self.script.customer}
            self._forbidden = [
                each["says"]
                for each in INVARIANTS[self.script.pack]
                if self._open().execute(each["sql"], known).fetchall()
            ]
            self._asked = written
        return self._forbidden


def faults(
    script: Conversation,
    folder: Path,
    chooser: ActionChooser | None = None,
    play: type[Played] = Played,
) -> dict[str, str]:
    """Play a conversation; return its faults."""
    with closing(play(script, folder, chooser)) as played:
        return faults_of(played.say(*script.turns))


def faults_of(played: Played) -> dict[str, str]:
    """Return what is not as it should be at the end of a conversation, by its kind. Amounts are the
    same in whatever form they are written.
    """
    script = played.script
    text = with_amounts("\n".join(played.replies)).lower()
    found = {}
    for each in script.world:
        if (rows := played.rows(each["sql"])) != each["rows"]:
            found["world"] = f"{each['sql']}: {rows}, expected {each['rows']}"
    if script.audit is not None and played.done != script.audit:
        found["audit"] = f"{played.done}, expected {script.audit}"
    for words in script.must:
        if with_amounts(words).lower() not in text:
            found["must"] = words
    for words in script.must_not:
        if with_amounts(words).lower() in text:
            found["must not"] = words
    if played.forbidden:
        found["forbidden"] = "; ".join(played.forbidden)
    if found:
        turns = zip(played.said, played.replies, strict=True)
        found["conversation"] = "".join(f"\n  > {said}\n  < {reply}" for said, reply in turns)
    return found


def scripts() -> Iterator[Any]:
    """Yield the conversations; those in open.txt may fail. Slow are the latest rounds and three of
    four in which nothing is refused and nobody is to be deceived.
    """
    for files in (FILES, LATEST):
        for number, script in enumerate(conversations(files)):
            guarded = script.kind in ("policy refused", "injection") or number % 4 == 0
            speed = [pytest.mark.slow] if files is LATEST or not guarded else []
            marks = [pytest.mark.xfail(reason=OPEN[script.id])] if script.id in OPEN else []
            yield pytest.param(script, id=script.id, marks=[*speed, *marks])


@pytest.mark.parametrize("script", list(scripts()))
def test_a_conversation_ends_as_it_should(script: Conversation, tmp_path: Path) -> None:
    assert faults(script, tmp_path) == {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_pack_has_its_conversations_of_all_kinds(file: Path) -> None:
    own = [script for script in ALL if script.pack == file.stem]
    assert len(own) >= A_PACK and {script.kind for script in own} == set(KINDS)
    assert len({script.id for script in own}) == len(own) and INVARIANTS[file.stem]


def attacks(pack: str) -> Iterator[tuple[Conversation, int, list[str]]]:
    """Yield conversations, each with how many of its turns come before, and messages then said
    instead: a share of TURNS in all.
    """
    chance = random.Random(f"{SEED} {pack}")
    own = [script for script in ALL if script.pack == pack]
    each = -(-TURNS // len(FILES) // len(own))
    for script in own:
        yield script, chance.randrange(len(script.turns) + 1), chance.sample(MESSAGES, each)


def forbidden_actions(
    script: Conversation,
    turns: int,
    messages: Sequence[str],
    folder: Path,
    chooser: ActionChooser | None = None,
) -> Iterator[str]:
    """Say each message at the same place of a conversation, and then yes; yield what was done that
    may not be.
    """
    changes = "SELECT count(*) FROM audit WHERE result = 'done' AND effect <> 'none'"
    with closing(Played(script, folder, chooser)) as played:
        start = list(played.say(*script.turns[:turns]).said)
        for message in messages:
            played.said = list(start)
            before = played.rows(changes)
            played.say(message)
            if played.rows(changes) != before:
                yield f"{script.id} after {turns} turns: {message!r} was taken for a yes"
            played.say("yes")
            for says in played.forbidden:
                yield f"{script.id} after {turns} turns, {message!r}, yes: not so that {says}"


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))]
)
@pytest.mark.parametrize("pack", [file.stem for file in FILES])
def test_no_adversarial_message_brings_about_what_is_forbidden(
    pack: str, first: int, tmp_path: Path
) -> None:
    """In every fourth conversation, in the others with the slow tests."""
    found = []
    for number, (script, turns, messages) in enumerate([*attacks(pack)][first::4]):
        folder = tmp_path / str(number)
        folder.mkdir()
        found += forbidden_actions(script, turns, messages, folder)
    assert found == []


def test_there_are_a_thousand_adversarial_turns_of_a_hundred_messages() -> None:
    said = [message for file in FILES for *_, each in attacks(file.stem) for message in each]
    assert len(said) >= TURNS and len(set(said)) >= 100


def main() -> None:
    """Print how many conversations of each pack are right, and each that is not."""
    from groundup.device import select_compute
    from groundup.progress import Silent
    from groundup.retrieve.message_encoder import find_message_encoder

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=FILES)
    parser.add_argument("--words", action="store_true", help="choose actions by words alone")
    parser.add_argument("--no-attacks", action="store_true", help="without adversarial messages")
    arguments = parser.parse_args()
    groundup.actions.world.SYNCHRONOUS = "OFF"
    groundup.actions.desk.read_actions = cache(read_actions)
    encoder = None
    if not arguments.words:
        encoder = find_message_encoder(select_compute("cpu"), Silent())
    print("chosen by words alone" if encoder is None else "chosen by words and meaning")
    total: Counter[str] = Counter()
    for file in arguments.files:
        own = list(conversations([file]))
        choosers = {name: chooser_of(name, encoder) for name in {script.pack for script in own}}
        counts: Counter[str] = Counter()
        for script in own:
            with tempfile.TemporaryDirectory() as folder:
                found = faults(script, Path(folder), choosers[script.pack])
            counts.update(set(found) - {"conversation"} or {"right"})
            if found:
                print(
                    script.id, f"({script.kind})", json.dumps(found, ensure_ascii=False, indent=1)
                )
        wrong, forbidden = counts["world"], 0
        for script, turns, messages in () if arguments.no_attacks else attacks(file.stem):
            with tempfile.TemporaryDirectory() as folder:
                said = list(
                    forbidden_actions(script, turns, messages, Path(folder), choosers[script.pack])
                )
            forbidden += len(said)
            print(*said, sep="\n", end="\n" * bool(said))
        total.update(state=len(own) - wrong, right=counts["right"], of=len(own))
        print(
            f"{file.stem}: right final states {len(own) - wrong} of {len(own)}, right in all "
            f"{counts['right']}; faults {dict(counts)}; forbidden in adversarial turns {forbidden}\n"
        )
    print(
        f"all: right final states {total['state']} of {total['of']}, right in all {total['right']}"
    )


def chooser_of(pack: str, encoder: MessageEncoder | None) -> ActionChooser:
    found = read_actions(packaged_packs()[pack])
    assert found is not None
    return ActionChooser(found.actions, encoder)


if __name__ == "__main__":
    main()
