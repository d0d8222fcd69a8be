"""Examples without repeats, and on the sides of a split.

    without_repeats(examples) -> Distinct       the first example of each text, of each instruction,
                                                of what the user says in a conversation
    hold_out(examples, seed) -> TrainAndHeldOut     for all kinds that have an id
    keep_common_labels(examples, fewest, ...)   without the labels of too few texts
    stratified_split(examples, sizes, seed)     one label a text: each class has its proportion in
                                                each split
    iterative_split(examples, sizes, seed)      several labels: every label has about its overall
                                                share in each split (Sechidis, Tsoumakas & Vlahavas
                                                2011)
    drop_unlearned(splits, ...)                 without the labels that no training text has

The side of an example depends on its text and the seed, not on the order in the file. What counts
is what the user says: two texts are the same when they differ in case and white space only,
whatever their ids and answers; else a text could be in train and test, and memorisation would count
as accuracy. Examples that differ in the system's text are not repeats; they lie on one side,
though. So do conversations of which one begins with all that the user says in the other: the
shorter one would be learned from the longer one.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from groundup.data.documents import (
    ChatExample,
    ComparedExample,
    Example,
    MultiLabelExample,
    RatedExample,
    to_conversation,
)
from groundup.data.reading.example_rows import AnyExample
from groundup.errors import DataError
from groundup.progress import Progress
from groundup.tokenizer.chat import Message

# What is in no split; no name of one.
REST = ""
E = TypeVar("E", bound=AnyExample)
C = TypeVar("C", bound=ChatExample | ComparedExample)
HELD_OUT_SHARE = 0.1


def labels_of_example(example: Example) -> tuple[str, ...]:
    if isinstance(example, MultiLabelExample):
        return example.labels
    return (example.label,)


def label_counts(examples: Sequence[Example]) -> dict[str, int]:
    """Return label -> how many texts have it, in alphabetical order."""
    counts = Counter(label for example in examples for label in labels_of_example(example))
    return dict(sorted(counts.items()))


def require_classes(examples: Sequence[Example], where: str) -> None:
    labels = sorted({example.label for example in examples})
    if len(labels) >= 2:
        return
    found = "no labelled text"
    if labels:
        found = f"only the class {labels[0]!r}"
    raise DataError(
        f"{where} has {found}; a classifier needs two classes or more.",
        fix="Check the label column.",
    )


def require_label_sets(splits: Mapping[str, Sequence[Example]]) -> bool:
    """Return whether the splits have several labels a text.

    Raises DataError where only some of them do.
    """
    filled = [name for name, examples in splits.items() if examples]
    several = [name for name in filled if isinstance(splits[name][0], MultiLabelExample)]
    others = [name for name in filled if name not in several]
    if several and others:
        raise DataError(
            f"The {', '.join(several)} texts have lists of labels, "
            f"the {', '.join(others)} texts one label each.",
            fix="Give them in the same form.",
        )
    return bool(several)


def keep_common_labels(
    examples: Sequence[Example], fewest: int, where: str, progress: Progress
) -> list[Example]:
    """Return the examples without the labels that fewer than `fewest` texts have, and say which.

    A text with one label goes with it; one with several stays, without it. Raises DataError for
    fewer than two labels left.
    """
    counts = label_counts(examples)
    common = {label for label, count in counts.items() if count >= fewest}
    if len(common) < 2:
        largest = [f"{label!r} ({count})" for label, count in Counter(counts).most_common(3)]
        raise DataError(
            f"{where} has fewer than two labels with {max(1, fewest)} distinct texts "
            f"(the most common: {', '.join(largest) or 'none'}).",
            fix="Lower `min_per_class`, or add examples.",
        )
    kept = _with_labels(examples, common)
    if len(common) < len(counts):
        rare = [f"{label!r} ({count})" for label, count in counts.items() if label not in common]
        progress.say(
            f"Labels of fewer than {fewest} texts are left out, "
            f"and {len(examples) - len(kept):,} texts with them: {', '.join(rare)[:500]}."
        )
    return kept


def merge_rare_labels(
    splits: Mapping[str, Sequence[Example]],
    merged: str,
    fewest: int,
    sizes: Mapping[str, int],
    progress: Progress,
) -> dict[str, list[Example]]:
    """Return the splits, of which "train" is to be divided into `sizes`, with `merged` in place of
    the labels of fewer than `fewest` training texts, and say which. 0: as few of the rarest as it
    takes to have every label in every split. Raises DataError where that leaves fewer than two.
    """
    counts = label_counts(splits["train"])
    kept = {label for label, count in counts.items() if count >= fewest}
    if not fewest:
        kept = _enough_kept(counts, merged, sizes)
    rare = sorted({*counts} - kept - {merged})
    if len(kept | {merged}) < 2 or not kept - {merged}:
        message, fix = f"Where the rare labels are {merged!r}, all are.", "lower `min_per_class`."
        if not fewest:
            rarest = min(counts, key=lambda each: (counts[each], each))
            enough = _enough(rarest, counts, sizes) or counts[rarest] + 1
            message = f"The rare labels are too few to be in every split as one, {merged!r}."
            fix = f"leave them out: `min_per_class` {enough}, no `merge_rare`."
        raise DataError(message, fix=f"Add examples, or {fix}")
    if not rare:
        return {name: list(examples) for name, examples in splits.items()}
    listed = ", ".join(f"{label!r} ({counts[label]})" for label in rare)
    progress.say(f"Rare labels are {merged!r} from now on: {listed[:500]}.")
    return {
        name: [_relabelled(each, kept, merged) for each in examples]
        for name, examples in splits.items()
    }


def _enough_kept(counts: Mapping[str, int], merged: str, sizes: Mapping[str, int]) -> set[str]:
    """Return the labels that stay, as many as possible."""
    for fewest in sorted({0, *(count + 1 for count in counts.values())}):
        kept = {label: count for label, count in counts.items() if count >= fewest}
        others = sum(count for label, count in counts.items() if label not in kept)
        if others:
            kept[merged] = kept.get(merged, 0) + others
        if _all_in_all(kept, sizes):
            return set(kept) & set(counts)
    return set()


def _relabelled(example: Example, kept: Collection[str], merged: str) -> Example:
    labels = [label if label in kept else merged for label in labels_of_example(example)]
    if isinstance(example, MultiLabelExample):
        return MultiLabelExample.of(example.text, sorted({*labels}))
    return replace(example, label=labels[0])


def drop_unlearned(
    splits: Mapping[str, Sequence[Example]], progress: Progress
) -> dict[str, list[Example]]:
    """Return the splits without the labels that no training text has, and say which.

    Texts with one label go with it; texts with several stay, without it.
    """
    known = set(label_counts(splits["train"]))
    unlearned = [
        f"{label!r} ({name})"
        for name, examples in splits.items()
        for label in label_counts(examples)
        if label not in known
    ]
    if unlearned:
        progress.say(f"Left out, since no training text has them: {', '.join(unlearned)[:500]}.")
    return {name: _with_labels(examples, known) for name, examples in splits.items()}


def _with_labels(examples: Sequence[Example], kept: Collection[str]) -> list[Example]:
    found: list[Example] = []
    for example in examples:
        if isinstance(example, MultiLabelExample):
            labels = [label for label in example.labels if label in kept]
            found.append(MultiLabelExample.of(example.text, labels))
        elif example.label in kept:
            found.append(example)
    return found


def _distinct_in_order(
    examples: Sequence[Example], sizes: Mapping[str, int], seed: int
) -> list[Example]:
    """Raises DataError for too few."""
    found, wanted = without_repeats(examples).examples, sum(sizes.values())
    if len(found) < wanted:
        parts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(
            f"There are {len(found)} distinct examples, {wanted} are needed ({parts}).",
            fix="Make the splits smaller.",
        )
    return sorted(found, key=lambda each: _order_key(each, seed))


def _order_key(example: Example, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{same_text_key(example.text)}".encode()).hexdigest()


def stratified_split(
    examples: Sequence[Example], sizes: Mapping[str, int], seed: int, *, every_class: bool = True
) -> dict[str, list[Example]]:
    """Return disjoint stratified splits of exactly these sizes: each class has its overall
    proportion in each. Repeats are removed before.

    Raises DataError for too few examples, fewer than two classes, or, with `every_class`, a class
    too small to be in every split.
    """
    ordered = _distinct_in_order(examples, sizes, seed)
    require_classes(ordered, "The data")
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in ordered:
        by_label[example.label].append(example)
    counts = {label: len(members) for label, members in sorted(by_label.items())}
    quotas = apportion(sum(sizes.values()), counts)
    splits: dict[str, list[Example]] = {}
    for name, size in sizes.items():
        shares = apportion(size, quotas)
        if every_class and size:
            _require_every_class(shares, counts, sizes, name)
        chosen = [by_label[label].pop() for label, share in shares.items() for _ in range(share)]
        splits[name] = sorted(chosen, key=lambda e: _order_key(e, seed))
        quotas = {label: quotas[label] - share for label, share in shares.items()}
    return splits


def iterative_split(
    examples: Sequence[Example], sizes: Mapping[str, int], seed: int
) -> dict[str, list[Example]]:
    """Return disjoint splits of exactly these sizes in which every label has about its overall
    share; repeats are removed before.

    The rarest label first: each text with it goes where most of that label is missing. Raises
    DataError for too few examples.
    """
    waiting = _distinct_in_order(examples, sizes, seed)
    count_of_all = len(waiting)
    room = {**sizes, REST: count_of_all - sum(sizes.values())}
    missing = {
        label: {part: count * size / count_of_all for part, size in room.items()}
        for label, count in label_counts(waiting).items()
    }
    splits: dict[str, list[Example]] = {part: [] for part in room}
    while waiting:
        left = label_counts(waiting)
        rarest = min(left, key=lambda label: (left[label], label), default=None)
        now = [each for each in waiting if rarest is None or rarest in labels_of_example(each)]
        for example in now:
            open_parts = [part for part in room if len(splits[part]) < room[part]]
            lacking = missing.get(rarest or "", {})
            part = max(
                open_parts,
                key=lambda each: (lacking.get(each, 0.0), room[each] - len(splits[each])),
            )
            splits[part].append(example)
            for label in labels_of_example(example):
                missing[label][part] -= 1
        done = set(map(id, now))
        waiting = [each for each in waiting if id(each) not in done]
    return {name: sorted(splits[name], key=lambda each: _order_key(each, seed)) for name in sizes}


def _require_every_class(
    shares: Mapping[str, int], counts: Mapping[str, int], sizes: Mapping[str, int], split: str
) -> None:
    """Raise DataError for a class without a share in a split; it names the count that is enough for
    all splits.
    """
    missing = [label for label, share in shares.items() if not share]
    if not missing:
        return
    label = min(missing, key=lambda each: (counts[each], each))
    enough = _enough(label, counts, sizes)
    others = needed = ""
    fix = "make the splits larger (`texts`)."
    if len(missing) > 1:
        others = f" (and {len(missing) - 1} more)"
    if enough:
        needed = f"; {enough} are enough to be in each of {', '.join(sizes)}"
        fix = f"leave out classes with fewer: `min_per_class` {enough}"
    raise DataError(
        f"The class {label!r}{others} is too rare: {counts[label]} of {sum(counts.values()):,} "
        f"distinct examples, none of it among the {sizes[split]:,} of '{split}'{needed}.",
        fix=f"Add examples of it, merge rare ones (`merge_rare` other), or {fix}",
    )


def _enough(label: str, counts: Mapping[str, int], sizes: Mapping[str, int]) -> int:
    """Return how many examples of a class are enough to be in every split, among the classes that
    have as many; 0 where there are none.
    """
    for enough in range(counts[label] + 1, max(counts.values()) + 1):
        kept = {each: count for each, count in counts.items() if count >= enough}
        if len(kept) < 2:
            return 0
        if _all_in_all(kept, sizes) and _all_in_all({**kept, label: enough}, sizes):
            return enough
    return 0


def _all_in_all(counts: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    """Return whether all classes are in all splits; of fewer examples than `sizes`, splits in the
    same proportion.
    """
    used = min(sum(sizes.values()), sum(counts.values()))
    quotas = apportion(used, counts)
    for size in apportion(used, sizes).values():
        shares = apportion(size, quotas)
        if size and not all(shares.values()):
            return False
        quotas = {label: quotas[label] - share for label, share in shares.items()}
    return True


def apportion(size: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return `size` divided in proportion to `weights` (largest remainder method); no share exceeds
    its weight while size <= sum(weights).

    >>> apportion(10, {"ham": 87, "spam": 13})
    {'ham': 9, 'spam': 1}
    """
    total = sum(weights.values())
    shares = {name: size * weight // total for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: (-(size * weights[name] % total), name))
    for name in by_remainder[: size - sum(shares.values())]:
        shares[name] += 1
    return shares


@dataclass(frozen=True)
class Distinct(Generic[E]):
    examples: list[E]
    repeats: int
    """Examples whose text occurred before (of labelled texts: with the same label)."""
    conflicts: int
    """Labelled texts that occur with different labels; all of them are removed."""
    empty: int
    """Examples without text."""


@dataclass(frozen=True)
class TrainAndHeldOut(Generic[C]):
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


def messages_before(example: ChatExample | ComparedExample) -> tuple[Message, ...]:
    """Return the messages before the (last) answer."""
    if isinstance(example, ComparedExample):
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
    key = (same_text_key("\n".join(system)), *user_turns(example))
    if isinstance(example, RatedExample):
        return (*key, same_text_key(example.answer))
    return key


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
