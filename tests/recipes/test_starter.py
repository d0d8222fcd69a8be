"""The hand-written instruction set: enough entries, no near copies, a fair tenth held out, checks its own answers pass.

Each rule is a pure function from entries to the faults it finds; each is tried on the set and on planted bad entries.
"""

import json
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import regex

import groundup

STARTER = Path(groundup.__file__).parent / "recipes" / "starter"
FIELDS = ["id", "kind", "instruction", "input", "output", "held_out", "check"]
KINDS = [
    "arithmetic",
    "classification",
    "grammar",
    "question",
    "rewriting",
    "summary",
    "translation",
    "unknowable",
]
CHECKED = {"arithmetic": 6, "classification": 6, "question": 5, "grammar": 3}

MOST_OVERLAP = 0.5
"""Of the word trigrams of two instructions."""
MOST_OVERLAP_HELD_OUT = 0.3
"""Of the word trigrams of instruction and input, between a held-out entry and a trained one."""
MOST_ALIKE_OPENINGS = 12
FEWEST_ENTRIES = 500
FEWEST_OF_A_KIND = 40
MOST_TOKENS = 120

Entry = dict[str, Any]
Rule = Callable[[list[Entry]], list[str]]


def words(text: str) -> list[str]:
    """The lowercase words: runs of letters, marks and digits, an apostrophe inside a word being part of it.

    >>> words("It's 3:30 - già?")
    ["it's", '3', '30', 'già']
    """
    return regex.findall(r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*", text.lower())


def trigrams(text: str) -> set[tuple[str, ...]]:
    """All runs of three words; a shorter text counts as one piece, so that two equal short texts still meet."""
    found = words(text)
    return {tuple(found[start : start + 3]) for start in range(max(1, len(found) - 2))}


def overlap(first: set[tuple[str, ...]], second: set[tuple[str, ...]]) -> float:
    return len(first & second) / min(len(first), len(second))


def tokens_at_most(text: str) -> int:
    """What a poor tokenizer spends on `text`: a token for two bytes of a word, one for each digit, mark, line end.

    An upper estimate, not a proof (only the number of bytes is one). Near the limit it lies above the count of a
    byte-level BPE of 1,000 tokens trained on program text; a short foreign answer can need a few tokens more.
    """
    pieces = regex.findall(r" ?[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{M}\p{N}]|\n", text)
    return sum(ceil(len(piece.encode()) / 2) for piece in pieces)


def stands_in(answer: str, text: str) -> bool:
    """Whether `answer` is in `text` as a whole word, or whole words; upper and lower case are one."""
    return regex.search(rf"(?<!\w){regex.escape(answer)}(?!\w)", text, regex.IGNORECASE) is not None


def malformed(entries: list[Entry]) -> list[str]:
    faults = []
    for entry in entries:
        texts = [entry.get(field) for field in ("id", "kind", "instruction", "input", "output")]
        if list(entry) != FIELDS or not all(
            isinstance(text, str) and text == text.strip() for text in texts
        ):
            faults.append(
                f"{entry.get('id')}: its fields are not {FIELDS}, texts without outer blanks"
            )
        elif not (entry["instruction"] and entry["output"] and isinstance(entry["held_out"], bool)):
            faults.append(
                f"{entry['id']}: no instruction, no output, or held_out is not true or false"
            )
        elif (
            not regex.fullmatch(rf"{entry['kind']}-\d{{3}}", entry["id"])
            or entry["kind"] not in KINDS
        ):
            faults.append(f"{entry['id']}: the id is not one of kind {entry['kind']!r}")
    return faults


def repeated_ids(entries: list[Entry]) -> list[str]:
    return [
        f"{name} is there {count} times"
        for name, count in Counter(e["id"] for e in entries).items()
        if count > 1
    ]


def too_few(entries: list[Entry]) -> list[str]:
    counts = Counter(entry["kind"] for entry in entries)
    faults = [
        f"{kind}: only {counts[kind]} entries" for kind in KINDS if counts[kind] < FEWEST_OF_A_KIND
    ]
    return faults + ([f"only {len(entries)} entries"] if len(entries) < FEWEST_ENTRIES else [])


def near_copies(entries: list[Entry]) -> list[str]:
    grams = [(entry["id"], trigrams(entry["instruction"])) for entry in entries]
    pairs = ((a, b, overlap(first, second)) for (a, first), (b, second) in combinations(grams, 2))
    return [
        f"{a} and {b} share {share:.2f} of their trigrams"
        for a, b, share in pairs
        if share > MOST_OVERLAP
    ]


def worn_openings(entries: list[Entry]) -> list[str]:
    openings = Counter(" ".join(words(entry["instruction"])[:3]) for entry in entries)
    return [
        f"{count} begin with {opening!r}"
        for opening, count in openings.items()
        if count > MOST_ALIKE_OPENINGS
    ]


def not_a_tenth_held_out(entries: list[Entry]) -> list[str]:
    share = sum(entry["held_out"] for entry in entries) / len(entries)
    return [] if abs(share - 0.1) <= 0.005 else [f"{share:.1%} are held out"]


def leaks(entries: list[Entry]) -> list[str]:
    grams = [(entry, trigrams(f"{entry['instruction']} {entry['input']}")) for entry in entries]
    trained = [(entry["id"], gram) for entry, gram in grams if not entry["held_out"]]
    return [
        f"held-out {entry['id']} is near trained {name}"
        for entry, gram in grams
        if entry["held_out"]
        for name, other in trained
        if overlap(gram, other) > MOST_OVERLAP_HELD_OUT
    ]


def long_answers(entries: list[Entry]) -> list[str]:
    sizes = [(entry["id"], tokens_at_most(entry["output"])) for entry in entries]
    return [f"{name}: {size} tokens" for name, size in sizes if size > MOST_TOKENS]


def bad_checks(entries: list[Entry]) -> list[str]:
    found = [(entry["id"], check_fault(entry)) for entry in entries if entry["check"] is not None]
    return [f"{name}: {fault}" for name, fault in found if fault]


def check_fault(entry: Entry) -> str:
    """What is wrong with one entry's check; "" when nothing is. Repeating the question must pass no word or number."""
    check, question = entry["check"], f"{entry['instruction']}\n{entry['input']}"
    if (
        not isinstance(check, dict)
        or not isinstance(check.get("answer"), str)
        or not check["answer"].strip()
    ):
        return "the check has no answer"
    kind, answer = check.get("type"), check["answer"]
    shape = {"type", "answer", "labels"} if kind == "label" else {"type", "answer"}
    if kind not in ("number", "label", "word") or set(check) != shape:
        return "the check is not of a known shape"
    if not stands_in(answer, entry["output"]):
        return f"the reference output does not say {answer!r}"
    if kind == "label":
        labels = check["labels"]
        if not isinstance(labels, list) or len(set(labels)) < 2 or answer not in labels:
            return "the answer is not one of two labels or more"
        if not all(stands_in(label, question) for label in labels):
            return "the question does not name every label"
        said = [label for label in labels if stands_in(label, entry["output"])]
        return "" if said == [answer] else "the reference output says another label"
    if kind == "number" and regex.findall(r"\d+(?:[.,]\d+)*", entry["output"]) != [answer]:
        return "the answer is not the only number of the reference output"
    if kind == "word" and words(answer) != [answer.lower()]:
        return "the answer is not one word"
    return "the question gives the answer away" if stands_in(answer, question) else ""


def checks_not_as_planned(entries: list[Entry]) -> list[str]:
    counts = Counter(entry["kind"] for entry in entries if entry["check"] is not None)
    trained = [
        entry["id"] for entry in entries if entry["check"] is not None and not entry["held_out"]
    ]
    return [f"{name} has a check and is trained on" for name in trained] + (
        [] if counts == CHECKED else [f"checks by kind: {dict(counts)}"]
    )


RULES: list[Rule] = [
    malformed,
    repeated_ids,
    too_few,
    near_copies,
    worn_openings,
    not_a_tenth_held_out,
    leaks,
    long_answers,
    bad_checks,
    checks_not_as_planned,
]


@pytest.fixture(scope="module")
def starter() -> list[Entry]:
    files = sorted(STARTER.glob("*.jsonl"))
    assert [file.stem for file in files] == KINDS
    return [
        json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()
    ]


def entry(
    instruction: str = "Name a colour.", text: str = "", output: str = "Red.", **changes: Any
) -> Entry:
    made = {
        "id": "question-900",
        "kind": "question",
        "instruction": instruction,
        "input": text,
        "output": output,
    }
    return made | {"held_out": False, "check": None} | changes


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_starter_set_keeps_every_rule(starter: list[Entry], rule: Rule) -> None:
    assert rule(starter) == []


def test_every_kind_lies_in_its_own_file() -> None:
    for file in STARTER.glob("*.jsonl"):
        kinds = {json.loads(line)["kind"] for line in file.read_text(encoding="utf-8").splitlines()}
        assert kinds == {file.stem}


def test_an_instruction_close_to_another_is_refused() -> None:
    long = "Tell me in one line why the sky is blue."
    assert near_copies([entry(long), entry("Tell me in one line why the sea is salt.")])
    assert near_copies([entry("Shorten this."), entry("shorten THIS!")]), (
        "texts of fewer than three words too"
    )
    assert not near_copies([entry(long), entry("Say why the sea is salt.")])


def test_a_held_out_entry_near_a_trained_one_is_refused() -> None:
    trained = entry("Correct the spelling.", "She has two cats and an old grey dog.")
    near = entry("What is wrong here?", "She has two cats and an old mouse.", held_out=True)
    assert leaks([trained, near])
    assert not leaks([trained | {"held_out": True}, near]), "two held-out ones may meet"
    assert not leaks([trained, entry("What is wrong here?", "We was late.", held_out=True)])


def test_the_thirteenth_equal_opening_is_refused() -> None:
    alike = [entry(f"Please, tell me about number {number}.") for number in range(13)]
    assert worn_openings(alike)
    assert not worn_openings(alike[:12])


def test_fewer_than_500_entries_or_40_of_a_kind_are_refused(starter: list[Entry]) -> None:
    assert too_few(starter[:499])
    assert too_few(
        [one for one in starter if one["kind"] != "grammar" or one["id"] < "grammar-040"]
    ), "39 of grammar"


def test_a_held_out_share_that_is_no_tenth_is_refused(starter: list[Entry]) -> None:
    trained = [one for one in starter if not one["held_out"]]
    assert not_a_tenth_held_out(trained)
    assert not_a_tenth_held_out([*starter, *(entry(held_out=True) for _ in range(6))])


def test_an_answer_above_120_tokens_is_refused() -> None:
    assert long_answers([entry(output="word " * 61)])
    assert long_answers([entry(output="1" * 121)]), "digits count one by one"
    assert not long_answers([entry(output="word " * 40)])


def test_an_id_used_twice_is_refused() -> None:
    assert repeated_ids([entry(), entry("Name a town.")])


@pytest.mark.parametrize(
    "change",
    [
        {"output": ""},
        {"held_out": 1},
        {"input": None},
        {"kind": "poetry"},
        {"instruction": " Name a colour."},
        {"note": ""},
    ],
    ids=str,
)
def test_a_malformed_entry_is_refused(change: Entry) -> None:
    assert malformed([entry()]) == []
    assert malformed([entry(**change)])


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (entry(check="Red"), "no answer"),
        (entry(check={"type": "word", "answer": ""}), "no answer"),
        (entry(check={"type": "colour", "answer": "red"}), "known shape"),
        (entry(check={"type": "word", "answer": "red", "labels": ["red", "blue"]}), "known shape"),
        (entry(check={"type": "label", "answer": "red"}), "known shape"),
        (entry(check={"type": "word", "answer": "blue"}), "does not say"),
        (entry(output="Reddish.", check={"type": "word", "answer": "red"}), "does not say"),
        (entry("Red or what?", check={"type": "word", "answer": "red"}), "gives the answer away"),
        (entry(output="Red wine.", check={"type": "word", "answer": "red wine"}), "not one word"),
        (entry(output="2 and 3 is 5.", check={"type": "number", "answer": "5"}), "only number"),
        (
            entry("Is 5 odd?", output="5", check={"type": "number", "answer": "5"}),
            "gives the answer away",
        ),
        (
            entry(check={"type": "label", "answer": "red", "labels": ["blue", "green"]}),
            "two labels or more",
        ),
        (
            entry("Red?", check={"type": "label", "answer": "red", "labels": ["red", "blue"]}),
            "every label",
        ),
        (
            entry(
                "Red or blue?",
                output="Red, not blue.",
                check={"type": "label", "answer": "red", "labels": ["red", "blue"]},
            ),
            "another label",
        ),
    ],
)
def test_a_check_that_can_mislead_is_refused(bad: Entry, fault: str) -> None:
    (found,) = bad_checks([bad])
    assert fault in found


@pytest.mark.parametrize(
    "good",
    [
        entry(check={"type": "word", "answer": "red"}),
        entry("Two and three?", output="It is 5.", check={"type": "number", "answer": "5"}),
        entry(
            "Red or blue?",
            "a tomato",
            check={"type": "label", "answer": "red", "labels": ["red", "blue"]},
        ),
    ],
)
def test_a_check_that_the_reference_passes_is_taken(good: Entry) -> None:
    assert bad_checks([good]) == []


def test_a_check_on_a_trained_entry_or_one_too_many_is_refused(starter: list[Entry]) -> None:
    extra = entry(check={"type": "word", "answer": "red"})
    assert len(checks_not_as_planned([*starter, extra])) == 2
