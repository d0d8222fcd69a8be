"""Tasks for learning from rewards: prompts with what a right answer is, on three sides that share
no prompt: what is trained on, what chooses the weights, what is measured before and after.

    GENERATORS            made by code, as many as wanted: "addition", "letter-counting", "dates",
                          "json-extraction"
    read_task(FILE.jsonl) rows of one's own: prompt (or messages), answer, reward, perhaps split
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError, DataError, FormatError, did_you_mean
from groundup.evaluate.comparison.forgetting import PACKAGED_TEXT
from groundup.evaluate.suites.registry import suite_file
from groundup.files import sha256_text
from groundup.finetune.reward_config import RewardConfig
from groundup.finetune.rewards import ANSWER, Reward, Row, load_reward, require_fitting
from groundup.tokenizer.chat import Message

SIDES = ("train", "validation", "test")
MIN_ITEMS = 12
# Packaged suites with English words.
WORDS_OF = ("multiple_choice", "emotions", "summaries", "grammar")
# Draws for each item that is wanted: a task may have fewer.
MAX_DRAWS = 40
MAX_ROW_BYTES = 2**20
# Of letter counting; no count is that of more than a third, so that one answer to all earns little.
COUNTS, LETTERS = (0, 1, 1, 2, 2, 3), "abcdefghilmnoprstuwy"

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FIRST_NAMES = ("Ada", "Ben", "Clara", "David", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas")
LAST_NAMES = ("Abbott", "Berger", "Costa", "Dunn", "Evans", "Fischer", "Grant", "Hale", "Ivers")
CITIES = ("Leeds", "Porto", "Vienna", "Lyon", "Dublin", "Oslo", "Ghent", "Turin", "Riga", "Bern")
NOTES = (
    "{name} from {city} is coming on {day} with a group of {people} people.",
    "On {day} we expect {people} people; they are from {city}, and {name} has booked.",
    "Booking for {day}: {name}, {people} people in all, arriving from {city}.",
    "{people} people on {day}, please. My name is {name}, and we travel from {city}.",
)


@dataclass(frozen=True)
class RewardItem:
    """A prompt, and what its answers are scored by."""

    prompt: tuple[Message, ...]
    row: Row
    reward: Reward

    @property
    def text(self) -> str:
        """The last message."""
        return self.prompt[-1].content

    @property
    def wanted(self) -> str:
        found = self.row.get(ANSWER, "")
        return found if isinstance(found, str) else json.dumps(found)

    @property
    def key(self) -> str:
        """By which two items are the same prompt: case and white space do not count."""
        return " ".join(" ".join(each.content for each in self.prompt).lower().split())


@dataclass(frozen=True)
class RewardTask:
    """The items of a task by side."""

    name: str
    train: tuple[RewardItem, ...]
    validation: tuple[RewardItem, ...]
    test: tuple[RewardItem, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all items, in order, and of their rewards."""
        parts = [
            (side, item.key, json.dumps(item.row, sort_keys=True), item.reward.fingerprint)
            for side in SIDES
            for item in self.side(side)
        ]
        return sha256_text(repr(parts))

    def side(self, name: str) -> tuple[RewardItem, ...]:
        found: tuple[RewardItem, ...] = getattr(self, name)
        return found

    @property
    def counts(self) -> dict[str, int]:
        return {side: len(self.side(side)) for side in SIDES}

    @property
    def rules(self) -> dict[str, str]:
        """The names of the rewards, and what earns each."""
        items = [item for side in SIDES for item in self.side(side)]
        return {item.reward.name: item.reward.rule for item in items}


@dataclass(frozen=True)
class Generator:
    """Makes rows of a task: (key, row); rows of one key are never on two sides."""

    what: str
    draw: Callable[[random.Random], tuple[str, dict[str, Any]]]


def _addition(draw: random.Random) -> tuple[str, dict[str, Any]]:
    while True:
        one, other = draw.randint(10, 99), draw.randint(10, 99)
        if one % 10 + other % 10 > 9:
            break
    prompt = f"What is {one} + {other}? Answer with the number only."
    low, high = sorted((one, other))
    return f"{low} {high}", {"prompt": prompt, ANSWER: str(one + other), "reward": "number"}


def _letters(draw: random.Random) -> tuple[str, dict[str, Any]]:
    count, letters = draw.choice(COUNTS), ""
    while not letters:
        word = draw.choice(packaged_words())
        letters = "".join(each for each in LETTERS if word.count(each) == count)
    letter = draw.choice(letters)
    prompt = f"How many letters {letter} are in the word {word}? Answer with the number only."
    return word, {"prompt": prompt, ANSWER: str(count), "reward": "number"}


def _dates(draw: random.Random) -> tuple[str, dict[str, Any]]:
    start = date(draw.randint(1990, 2040), 1, 1) + timedelta(days=draw.randrange(365))
    days = draw.randint(2, 60)
    prompt = (
        f"What date is {days} days after {start.day} {MONTHS[start.month - 1]} {start.year}? "
        "Answer with the date only, as YYYY-MM-DD."
    )
    wanted = (start + timedelta(days=days)).isoformat()
    return f"{start} {days}", {"prompt": prompt, ANSWER: wanted, "reward": "exact"}


def _json_extraction(draw: random.Random) -> tuple[str, dict[str, Any]]:
    name, city = f"{draw.choice(FIRST_NAMES)} {draw.choice(LAST_NAMES)}", draw.choice(CITIES)
    day, people = draw.choice(WEEKDAYS), draw.randint(2, 12)
    text = draw.choice(NOTES).format(name=name, city=city, day=day, people=people)
    prompt = (
        f"{text}\nWrite this as JSON with the keys name, city, day (as it is written) and people "
        "(a number), and nothing else."
    )
    wanted = {"name": name, "city": city, "day": day, "people": people}
    return f"{name} {city} {day} {people}", {"prompt": prompt, ANSWER: wanted, "reward": "json"}


@lru_cache(maxsize=1)
def packaged_words() -> list[str]:
    """Words of 4 to 10 letters of the packaged texts and questions."""
    files = [PACKAGED_TEXT, *filter(None, map(suite_file, WORDS_OF))]
    texts = [file.read_text(encoding="utf-8") for file in files]
    return sorted({word for text in texts for word in re.findall(r"\b[a-z]{4,10}\b", text)})


GENERATORS: dict[str, Generator] = {
    "addition": Generator("sums of two numbers of two digits, with a carry", _addition),
    "letter-counting": Generator("how often a letter stands in a word", _letters),
    "dates": Generator("the date some days after another one", _dates),
    "json-extraction": Generator("four values of a note, as JSON", _json_extraction),
}


def open_task(name: str, config: RewardConfig) -> RewardTask:
    """Return a generated task by its name, or that of a .jsonl file. Raises ConfigError, DataError,
    FormatError.
    """
    if config.reward:
        load_reward(config.reward)
    if name in GENERATORS:
        if config.reward:
            raise ConfigError(
                f"The task {name} has a reward of its own, and {config.reward} is given.",
                fix="Leave out `reward`: it is for the rows of a file.",
            )
        return generate_task(name, config)
    path = Path(name)
    if not path.is_file():
        raise ConfigError(
            f"There is no task {name!r}: neither a file nor one of {', '.join(GENERATORS)}.",
            fix=did_you_mean(name, GENERATORS),
        )
    return read_task(path, config)


def generate_task(name: str, config: RewardConfig) -> RewardTask:
    """Return `config.items` items to train on, and others: no key is on two sides."""
    generator, draw = GENERATORS[name], random.Random(f"{name} {config.seed}")
    wanted = {"test": config.test, "validation": config.validation, "train": config.items}
    sides: dict[str, list[RewardItem]] = {side: [] for side in wanted}
    side_of: dict[str, str] = {}
    seen: set[str] = set()
    names, weights = list(wanted), list(wanted.values())
    for _ in range(MAX_DRAWS * sum(wanted.values())):
        key, row = generator.draw(draw)
        side = side_of.setdefault(key, draw.choices(names, weights)[0])
        if len(sides[side]) == wanted[side] or row["prompt"] in seen:
            continue
        seen.add(row["prompt"])
        sides[side].append(_item(row, config.reward, f"{name}"))
        if all(len(sides[each]) == count for each, count in wanted.items()):
            break
    return RewardTask(name, *(tuple(sides[side]) for side in SIDES))


def read_task(path: Path, config: RewardConfig) -> RewardTask:
    """Rows with "split" are on that side; of the others a fifth is measured on, a tenth chooses.
    A prompt that occurs twice stays where it was first. Raises DataError, FormatError.
    """
    named: dict[str, list[RewardItem]] = {side: [] for side in SIDES}
    free: list[RewardItem] = []
    seen: set[str] = set()
    for number, row in _rows(path):
        where = f"{path}: row {number}"
        item = _item(row, config.reward, where)
        if item.key in seen:
            continue
        seen.add(item.key)
        side = row.get("split")
        if side is not None and side not in SIDES:
            raise DataError(f"{where}: its split is {side!r}, expected {', '.join(SIDES)}.")
        (free if side is None else named[side]).append(item)
    random.Random(config.seed).shuffle(free)
    shares = {
        "test": (len(free) // 5, config.test),
        "validation": (len(free) // 10, config.validation),
    }
    for side, (share, most) in shares.items():
        count = 0 if named[side] else min(max(share, 1), most)
        named[side] += free[:count]
        free = free[count:]
    named["train"] += free
    total = sum(map(len, named.values()))
    if total < MIN_ITEMS or not all(named.values()):
        raise DataError(
            f"{path} has {total} distinct prompts ({_counts(named)}), expected at least {MIN_ITEMS} "
            "and some on each side.",
            fix="Give more rows.",
        )
    return RewardTask(path.name, *(tuple(named[side]) for side in SIDES))


def _counts(named: Mapping[str, Sequence[RewardItem]]) -> str:
    return ", ".join(f"{len(items)} {side}" for side, items in named.items())


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(path, "text", "is not UTF-8") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FormatError(path, f"line {number}", "is not JSON") from error
        if not isinstance(row, dict) or len(line) > MAX_ROW_BYTES:
            raise FormatError(path, f"line {number}", "is not a JSON object of at most 1 MiB")
        yield number, row


def _item(row: Mapping[str, Any], default: str, where: str) -> RewardItem:
    """Raises DataError, ConfigError."""
    given, named = row.get("prompt"), row.get("reward") or default
    messages = row.get("messages")
    if isinstance(given, str) and given.strip():
        prompt: tuple[Message, ...] = (Message("user", given),)
    elif isinstance(messages, list) and messages:
        prompt = tuple(_message(each, where) for each in messages)
    else:
        raise DataError(
            f"{where} has no prompt.",
            fix='Write rows as {"prompt": ..., "answer": ..., "reward": "number"}.',
        )
    if not named or not isinstance(named, str):
        raise ConfigError(
            f"{where} names no reward, and none is given for all rows.",
            fix='Give --reward NAME, or a column "reward".',
        )
    reward = _reward(named)
    require_fitting(reward, row, where)
    return RewardItem(prompt, row, reward)


_reward = lru_cache(maxsize=64)(load_reward)


def _message(value: Any, where: str) -> Message:
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise DataError(f"{where}: a message has no role and content.")
    return Message(value.get("role", "user"), value["content"])


def task_lines(task: RewardTask) -> list[str]:
    """Say what is trained and measured."""
    counts = task.counts
    return [
        f"{task.name}: {counts['train']:,} prompts to learn from, {counts['validation']:,} choose "
        f"the weights, {counts['test']:,} are held out; no prompt is on two sides.",
        *(f"reward {name}: {rule}." for name, rule in task.rules.items()),
    ]
