"""Examples made distinct before they are split, and kept together that must lie on one side of the
split.

    without_repeats(examples) -> Distinct        the first example of each text, of each
                                                 instruction, of what the user says in a
                                                 conversation
    hold_out(examples, seed)  -> TrainAndHeldOut     for all kinds that have an id

What counts is what the user says: two texts are the same when they differ in case and white space
only, whatever their ids and answers. Examples that differ in the system's text are not repeats;
they lie on one side, though. So do conversations of which one begins with all that the user says in
the other: the shorter one would be learned from the longer one.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from groundup.data.documents import ChatExample, Example, PreferenceExample, to_conversation
from groundup.data.reading.example_rows import AnyExample
from groundup.errors import DataError
from groundup.tokenizer.chat import Message

E = TypeVar("E", bound=AnyExample)
C = TypeVar("C", bound=ChatExample | PreferenceExample)
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Distinct(Generic[E]):
    """Distinct examples, and counts of the removed ones."""

    examples: list[E]
    repeats: int
    """Examples whose text occurred before (of labelled texts: with the same label)."""
    conflicts: int
    """Labelled texts that occur with different labels; all of them are removed."""
    empty: int
    """Examples without text."""


@dataclass(frozen=True)
class TrainAndHeldOut(Generic[C]):
    """The training examples and the held-out ones."""

    train: list[C]
    held_out: list[C]
    repeats: int
    """Left out: repeats, and training examples that would be on the side of a held-out one."""


def same_text_key(text: str) -> str:
    """Return a key that is equal for texts that differ in case and white space only.

    >>> same_text_key(" Free  ENTRY\\n") == same_text_key("free entry")
    True
    """
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())


def user_turns(example: AnyExample) -> tuple[str, ...]:
    """Return the keys of what the user says: of the text, or of each message; where there is none,
    of the messages before the answer.
    """
    if isinstance(example, Example):
        return (same_text_key(example.text),)
    messages = messages_before(example)
    said = [message.content for message in messages if message.role == "user"]
    return tuple(map(same_text_key, said or [message.content for message in messages]))


def messages_before(example: ChatExample | PreferenceExample) -> tuple[Message, ...]:
    """Return the messages before the (last) answer."""
    if isinstance(example, PreferenceExample):
        return example.prompt
    return to_conversation(example, answer=False).messages


def without_repeats(examples: Sequence[E]) -> Distinct[E]:
    """Return the first example of each distinct text, and none of a text with different labels.

    Of repeats, one that is held out stays so.
    """
    keys = [_repeat_key(example) for example in examples]
    labels: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for key, example in zip(keys, examples, strict=True):
        labels[key].add(getattr(example, "label", ""))
    firsts: dict[tuple[str, ...], E] = {}
    removed: Counter[str] = Counter()
    for key, example in zip(keys, examples, strict=True):
        if not any(key):
            removed["empty"] += 1
        elif len(labels[key]) > 1:
            removed["conflict"] += 1
        elif key in firsts:
            removed["repeat"] += 1
            if _is_held_out(example) and not _is_held_out(firsts[key]):
                firsts[key] = example
        else:
            firsts[key] = example
    return Distinct(list(firsts.values()), removed["repeat"], removed["conflict"], removed["empty"])


def _repeat_key(example: AnyExample) -> tuple[str, ...]:
    """Return what an example must share with another one to be its repeat: what the user says, and
    the system's text.
    """
    if isinstance(example, Example):
        return user_turns(example)
    system = [message.content for message in messages_before(example) if message.role == "system"]
    return (same_text_key("\n".join(system)), *user_turns(example))


def _is_held_out(example: AnyExample) -> bool:
    return isinstance(example, ChatExample) and example.held_out


def groups_of(examples: Sequence[AnyExample]) -> list[tuple[str, ...]]:
    """Return for each example what it shares with all that must lie on its side: the shortest other
    conversation that it begins with, or itself.
    """
    turns = [user_turns(example) for example in examples]
    whole = set(turns)
    return [
        next((said[:n] for n in range(1, len(said)) if said[:n] in whole), said) for said in turns
    ]


def hold_out(examples: Sequence[C], seed: int) -> TrainAndHeldOut[C]:
    """Return the sides of the examples without repeats: held out are the marked ones, else a tenth
    (at least one) by the hash of seed and id.

    Raises DataError where nothing can be held out.
    """
    distinct = without_repeats(examples)
    found, groups = distinct.examples, groups_of(distinct.examples)
    marked = [_is_held_out(example) for example in found]
    if any(marked):
        aside = {group for group, is_marked in zip(groups, marked, strict=True) if is_marked}
    else:
        aside = _choose_groups([example.id for example in found], groups, seed, distinct.repeats)
        marked = [group in aside for group in groups]
    held_out = [example for example, is_marked in zip(found, marked, strict=True) if is_marked]
    train = [example for example, group in zip(found, groups, strict=True) if group not in aside]
    return TrainAndHeldOut(train, held_out, len(examples) - len(train) - len(held_out))


def _choose_groups(
    ids: Sequence[str], groups: Sequence[tuple[str, ...]], seed: int, repeats: int
) -> set[tuple[str, ...]]:
    """Return groups with a tenth of the examples, in the order of the hashes of ids; large groups
    come last.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        count = f"{len(ids)} conversations with one beginning are"
        if len(ids) < 2:
            count = f"{len(ids)} distinct instruction is"
        left_out = ""
        if repeats:
            left_out = f" ({repeats:,} repeats left out)"
        raise DataError(
            f"{count} too few{left_out}: one is held out to measure on.", fix="Give more."
        )
    wanted = max(1, round(HELD_OUT_SHARE * len(ids)))
    order = sorted(zip(ids, groups, strict=True))
    order.sort(
        key=lambda each: (
            sizes[each[1]] > wanted,
            hashlib.sha256(f"{seed}/{each[0]}".encode()).digest(),
        )
    )
    chosen: set[tuple[str, ...]] = set()
    for _, group in order:
        if sum(sizes[each] for each in chosen) >= wanted:
            break
        chosen.add(group)
    return chosen
