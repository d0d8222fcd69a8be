"""Everything that is wrong with a pack: what its files say beside its facts, repeats, leaks between
parts, answers that no document has.

check_pack(folder) -> CheckedPack, whose objections have file, line and reason
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.packs.action_check import action_texts, actions_of, asked_texts, wrong_actions
from groundup.packs.assistant_texts import AssistantTexts
from groundup.packs.corrections import IMPROVED_FILE, taught_again
from groundup.packs.known import Known, known_of, quantities
from groundup.packs.pack import (
    DOCUMENTS,
    FACTS_FILE,
    MADE,
    MIN_QUESTIONS,
    PACK_FILE,
    Pack,
    PackIssue,
    document_questions,
    read_pack,
)
from groundup.packs.repeats import Text, normalise, repeats

# Of an intent: with fewer messages nothing can be trained, tested and shown.
MIN_MESSAGES = 10
NUMBERS_AND_NAMES_OF = "en"
# The fields that are no text of the pack: names of documents and of labels, and a mark.
NO_TEXT = ("document", "label", MADE)


@dataclass(frozen=True)
class CheckedPack:
    """A pack with everything that is wrong with it."""

    pack: Pack
    objections: tuple[PackIssue, ...]
    notes: tuple[str, ...]
    """What could not be checked."""

    @property
    def counts(self) -> dict[str, int]:
        """The number of documents, of the lines of each part, and of actions where there are."""
        actions = len(actions_of(self.pack).actions)
        return {**self.pack.counts, **({"actions": actions} if actions else {})}

    @property
    def blocking(self) -> list[PackIssue]:
        """The objections with which nothing can be built."""
        return [each for each in self.objections if each.blocks]

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        labels = Counter(row["label"] for row in self.pack.parts["messages"])
        unanswerable = sum(row["answer"] is None for row in self.pack.parts["questions"])
        return {
            "pack": str(self.pack.folder),
            "name": self.pack.head.name,
            "counts": self.counts,
            "labels": dict(labels),
            "unanswerable": unanswerable,
            "objections": [vars(each) for each in self.objections],
            "notes": list(self.notes),
        }


def check_pack(folder: Path) -> CheckedPack:
    """Read a pack and return all that is wrong with it.

    Raises DataError where it can't be read as a pack.
    """
    pack, found = read_pack(folder)
    for check in CHECKS:
        found += check(pack)
    notes = []
    if pack.head.texts_language != NUMBERS_AND_NAMES_OF:
        notes.append(
            f"The texts' language is {pack.head.language!r}: numbers in words and names were looked "
            "for as in English."
        )
    if not pack.facts:
        notes.append(
            f"{FACTS_FILE} has no facts: no number and no name was held against them. Write each "
            "fact once, and check again."
        )
    notes += [_missing_part(part) for part in NEEDED_FOR if not pack.parts[part]]
    few = len(document_questions(pack.parts["instructions"]))
    if few < MIN_QUESTIONS:
        notes.append(
            f"{few} instructions without input are questions that a document answers (made ones are "
            "not counted). With at least "
            f"{MIN_QUESTIONS} the evidence that an answer needs is chosen on them; with fewer it is "
            "that of the packaged packs (docs/packs.md)."
        )
    return CheckedPack(pack, tuple(found), tuple(notes))


# What is not built without a part.
NEEDED_FOR = {
    "instructions": "no model is fine-tuned, and answers are quotations alone (questions with the "
    "answer that a document gives)",
    "messages": "no classifier of intents is trained (customers' messages, ten of each intent)",
    "questions": "no error rate is promised and no answer measured (customers' questions, at least "
    f"{MIN_QUESTIONS}, each with its answer)",
}


def _missing_part(part: str) -> str:
    return f"There is no {part}.jsonl: {NEEDED_FOR[part]}."


def unknown_facts(pack: Pack) -> Iterator[PackIssue]:
    """Yield each number and name of a text that is neither in facts.toml nor free; none where there
    are no facts.
    """
    if not pack.facts:
        return
    known = known_of(pack)
    for name, text in pack.documents.items():
        for number, line in enumerate(text.splitlines(), start=1):
            yield from _objections(known, f"{DOCUMENTS}/{name}:{number}", line)
    for rows in pack.parts.values():
        for row in rows:
            texts: list[str] = []
            for field, value in row.values.items():
                if field in NO_TEXT or not value:
                    continue
                texts += [value] if isinstance(value, str) else value
            yield from _objections(known, row.place, "\n".join(texts))
    for field, text in pack.head.assistant.own.items():
        yield from _objections(known, f"{PACK_FILE}: assistant.{field}", text)
    for each in action_texts(actions_of(pack)):
        yield from _objections(known, each.place, each.text)


def _objections(known: Known, place: str, text: str) -> Iterator[PackIssue]:
    for reason in known.objections(text):
        yield PackIssue(place, reason)


def unchecked_files(pack: Pack) -> Iterator[PackIssue]:
    """Yield the files of documents/ that an index would read and this check does not: of other
    kinds, or in folders.
    """
    folder = pack.folder / DOCUMENTS
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if file.is_file() and not hidden and (len(name.parts) > 1 or file.suffix != ".md"):
            reason = f"is not checked, and would be answered from: make it a *.md in {DOCUMENTS}/"
            yield PackIssue(f"{DOCUMENTS}/{name.as_posix()}", reason)


def missing_staff_documents(pack: Pack) -> Iterator[PackIssue]:
    """Yield each pattern of documents for staff that no document has: a misspelt one hides nothing."""
    for pattern in pack.head.assistant.staff_documents:
        texts = AssistantTexts(staff_documents=(pattern,))
        if not any(map(texts.is_for_staff, pack.documents)):
            reason = f"has {pattern!r}, which is the name of no document in {DOCUMENTS}/"
            yield PackIssue(f"{PACK_FILE}: assistant.staff_documents", reason)


# What a heading, the first lines or the name of a document say that is for the firm's own people.
_FOR_STAFF = re.compile(
    r"\b(?:staff|employees?|internal|team)[ -](?:use[ -])?only\b|\bfor internal use\b"
    r"|\bnot for (?:customers|guests|the public|publication)\b|\bstrictly confidential\b",
    re.IGNORECASE,
)
_FIRST_LINES = 3
# What a program or a person was to fill in.
_PLACEHOLDER = re.compile(r"\{\{? ?[A-Za-z][\w .]{0,40}\}?\}|<<[^<>\n]{1,40}>>|%[A-Z][A-Z_]{2,30}%")


def unnamed_staff_documents(pack: Pack) -> Iterator[PackIssue]:
    """Yield each document that says it is for the firm's own people, and is for everyone here."""
    for name, text in pack.documents.items():
        lines = [line for line in text.splitlines() if line.strip()]
        headings = [line for line in lines[_FIRST_LINES:] if line.startswith("#")]
        named = " ".join(Path(name).stem.split("_"))
        found = _FOR_STAFF.search("\n".join((named, *lines[:_FIRST_LINES], *headings)))
        if found and not pack.head.assistant.is_for_staff(name):
            reason = f"says {found[0]!r}, and everyone is answered from it: name it in"
            yield PackIssue(
                f"{DOCUMENTS}/{name}", f"{reason} staff_documents of [assistant], or take it out"
            )


def unfilled_placeholders(pack: Pack) -> Iterator[PackIssue]:
    """Yield the documents with places that were to be filled in, as templates of letters have."""
    for name, text in pack.documents.items():
        found = list(dict.fromkeys(each[0] for each in _PLACEHOLDER.finditer(text)))
        if found and "```" not in text:
            shown = ", ".join(found[:3])
            reason = f"has {shown}, which customers would read so: write what it stands for"
            yield PackIssue(f"{DOCUMENTS}/{name}", reason)


def missing_documents(pack: Pack) -> Iterator[PackIssue]:
    """Yield each line whose document there is not."""
    for rows in pack.parts.values():
        for row in rows:
            document = row.values.get("document")
            if document is not None and document not in pack.documents:
                yield PackIssue(row.place, f"there is no {DOCUMENTS}/{document}", blocks=True)


def missing_answers(pack: Pack) -> Iterator[PackIssue]:
    """Yield questions whose document does not contain the answer."""
    for row in pack.parts["questions"]:
        answer, document = row["answer"], row["document"]
        if (answer is None) != (document is None):
            reason = "has an answer without its document, or a document without an answer"
            yield PackIssue(row.place, reason, blocks=True)
            continue
        text = pack.documents.get(document)
        if text is not None and normalise(answer) not in normalise(text):
            reason = f"{document} does not contain the answer {answer!r}"
            yield PackIssue(row.place, reason, blocks=True)


def wrong_summaries(pack: Pack) -> Iterator[PackIssue]:
    """Yield summaries that lack a key fact, or have a number that their text lacks."""
    for row in pack.parts.get("summaries", ()):
        for fact in row["key_facts"]:
            lacking = [
                name for name in ("text", "summary") if normalise(fact) not in normalise(row[name])
            ]
            if lacking:
                reason = f"the {' and the '.join(lacking)} does not contain the key fact {fact!r}"
                yield PackIssue(row.place, reason)
        there = {found.value for found in quantities(row["text"])}
        for found in quantities(row["summary"]):
            if found.value not in there and not found.written.isalpha():  # "two" may be counted
                reason = f"the summary says {found.written!r}, which its text does not"
                yield PackIssue(row.place, reason)


def wrong_labels(pack: Pack) -> Iterator[PackIssue]:
    """Yield intents that have too few messages, and the lack of the label for none of them."""
    if not pack.parts["messages"]:
        return
    file, none = "messages.jsonl", pack.head.none_label
    counts = Counter(row["label"] for row in pack.parts["messages"])
    for label, count in counts.items():
        if count < MIN_MESSAGES:
            reason = f"has {count} messages, at least {MIN_MESSAGES} are needed"
            yield PackIssue(file, f"the intent {label!r} {reason}", blocks=True)
    if none not in counts:
        reason = f"no message has the label {none!r}, which is for messages that have none of the intents"
        yield PackIssue(file, reason, blocks=True)
    if len(counts) == 1:
        reason = "has one label only: there is nothing to tell apart"
        yield PackIssue(file, reason, blocks=True)


def empty_parts(pack: Pack) -> Iterator[PackIssue]:
    """Yield the parts without a line."""
    for part, rows in pack.parts.items():
        if not rows and (pack.folder / f"{part}.jsonl").exists():
            reason = "has no line that can be read: write one, or delete the file"
            yield PackIssue(f"{part}.jsonl", reason, blocks=True)


def repeated_texts(pack: Pack) -> Iterator[PackIssue]:
    """Yield what stands twice, or nearly, within a part or in two of them: a held-out question that
    an instruction asks is no test.
    """
    instructions = pack.parts["instructions"]
    asked = [Text(row.place, f"{row['instruction']} {row['input']}") for row in instructions]
    asked += [Text(row.place, row["text"]) for row in pack.parts["messages"]]
    asked += [Text(row.place, row["question"]) for row in pack.parts["questions"]]
    asked += asked_texts(actions_of(pack))
    documents = [Text(f"{DOCUMENTS}/{name}", text) for name, text in pack.documents.items()]
    summaries = [Text(row.place, row["text"]) for row in pack.parts.get("summaries", ())]
    for texts in (asked, documents, summaries):
        for text, other, alike in repeats(texts):
            reason = f"nearly repeats {other.place} ({alike:.0%} of their words in threes)"
            yield PackIssue(text.place, f"{reason}: {text.text[:60]!r}")


def taught_questions(pack: Pack) -> Iterator[PackIssue]:
    """Yield what teaches a question that `pack improve` made one that measures, whether or not
    questions.jsonl still has it.
    """
    for place, question in taught_again(pack):
        reason = f"nearly repeats {question[:60]!r}, which is held out ({IMPROVED_FILE})"
        yield PackIssue(place, reason)


CHECKS: tuple[Callable[[Pack], Iterator[PackIssue]], ...] = (
    unknown_facts,
    unchecked_files,
    missing_documents,
    missing_staff_documents,
    unnamed_staff_documents,
    unfilled_placeholders,
    missing_answers,
    wrong_summaries,
    wrong_labels,
    empty_parts,
    repeated_texts,
    wrong_actions,
    taught_questions,
)
