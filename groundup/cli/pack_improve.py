"""`groundup pack improve`: what readers asked in vain, in groups, and what an operator answers."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.cli.console import console_progress, in_browser, print_result, say
from groundup.cli.plain import terminal_safe
from groundup.errors import ConfigError, GroundupError
from groundup.files import write_text

if TYPE_CHECKING:
    from groundup.packs.corrections import Correction
    from groundup.packs.feedback import Feedback
    from groundup.packs.pack import Pack
    from groundup.report.values import JsonObject
    from groundup.retrieve.question_groups import QuestionGroup

SHOWN = 20
SHOWN_QUESTIONS, SHOWN_COMMENTS, SHOWN_OBJECTIONS = 4, 3, 5
LONGEST = 160
CHOICES = "held-out [q]uestion, sentence of a [d]ocument, Enter: next, [x]: end > "


@dataclass(frozen=True)
class Findings:
    """What is shown of feedback."""

    pack: "Pack"
    feedback: "Feedback"
    groups: "Sequence[QuestionGroup]"
    by: str
    """What the questions are compared by: "words" or "vectors"."""
    done: int
    """Replies whose question was answered by `improve` since."""

    def to_plain(self) -> "JsonObject":
        """Return JSON values."""
        return {
            "pack": str(self.pack.folder),
            "feedback": [str(file) for file in self.feedback.files],
            **self.counts,
            "by": self.by,
            "groups": [_group_row(each) for each in self.groups],
        }

    @property
    def counts(self) -> dict[str, int]:
        events = self.feedback.events
        return {
            "replies": len(events),
            "unanswered": sum(each.is_unanswered for each in events),
            "disliked": sum(each.is_disliked for each in events),
            "liked": sum(each.rating == "up" for each in events),
            "done": self.done,
            "damaged": self.feedback.damaged,
        }


def show(
    folder: Path, file: Path, index: str, out: Path | None, html: Path | None, as_json: bool
) -> None:
    """Print the groups; write them to be edited, or as a page, where that is asked for."""
    found = find_groups(folder, file, index)
    lines = list(_summary(found))
    for number, group in enumerate(found.groups[:SHOWN], start=1):
        lines += ["", *_group_lines(number, group)]
    if len(found.groups) > SHOWN:
        lines += ["", f"{len(found.groups) - SHOWN:,} more groups: --json and --out have them."]
    if out is not None:
        rows = [json.dumps(_group_row(each), ensure_ascii=False) for each in found.groups]
        write_text(out, "".join(f"{row}\n" for row in rows))
        how = f"groundup pack improve {folder} --corrections {out}"
        lines += ["", f'{out}: fill in "use" and "answer" of what you can answer, then: {how}']
    if html is not None:
        from groundup.report.pages.improvement_page import write_improvement_page

        write_improvement_page(found.to_plain(), html)
        lines += ["", in_browser(html)]
    if found.groups and out is None:
        lines += [
            "",
            "Answer them: --ask, one by one; or --out FILE, a line of JSON for each group.",
        ]
    print_result(lines, found.to_plain(), as_json)


def find_groups(folder: Path, file: Path, index: str) -> Findings:
    """Return the groups of the questions of `file` that were not answered since.

    Raises ConfigError, DataError, FormatError.
    """
    from groundup.packs.corrections import read_improved
    from groundup.packs.feedback import read_feedback
    from groundup.packs.pack import DOCUMENTS, read_pack
    from groundup.retrieve.question_groups import group_questions, searched_documents

    if not file.is_file():
        fix = "Serve with it first: groundup serve RUN --feedback FILE"
        raise ConfigError(f"There is no file {file} with readers' feedback.", fix=fix)
    pack, _ = read_pack(folder)
    feedback = read_feedback(file)
    names = {each.index for each in feedback.events}
    if index and index not in names:
        fix = f"There are: {', '.join(sorted(names)) or 'none'}."
        raise ConfigError(f"{file} has no reply from an index {index!r}.", fix=fix)
    answered: dict[str, str] = {}
    for each in read_improved(folder):
        answered |= dict.fromkeys(map(_key, each.questions), each.time)
    chosen = [each for each in feedback.events if index in ("", each.index)]
    events = [each for each in chosen if each.time > answered.get(_key(each.question), "")]
    language, done = pack.head.language, len(chosen) - len(events)
    with searched_documents(folder / DOCUMENTS, language, console_progress()) as search:
        return Findings(pack, feedback, group_questions(events, search, language), search.by, done)


def _key(question: str) -> str:
    return " ".join(question.lower().split())


def _summary(found: Findings) -> Iterator[str]:
    from groundup.retrieve.question_groups import MAX_GROUPS

    counts = found.counts
    yield (
        f"{found.pack.head.name}: {counts['replies']:,} replies in {found.feedback.files[-1]}: "
        f"{counts['unanswered']:,} not answered, {counts['disliked']:,} disliked, "
        f"{counts['liked']:,} liked"
    )
    if found.done:
        yield f"{found.done:,} of them were answered since (improved.jsonl)"
    if found.feedback.damaged:
        yield f"damaged lines, passed over: {found.feedback.damaged:,}"
    if found.groups:
        by = "by the vectors of all-minilm-l6-v2"
        if found.by == "words":
            by = "by their words (by vectors where all-minilm-l6-v2 is on this machine)"
        most = "the biggest " if len(found.groups) == MAX_GROUPS else ""
        yield f"{most}{len(found.groups):,} groups of questions that ask the same, {by}"
    else:
        yield "No question was refused or had a disliked answer."


def _group_lines(number: int, group: "QuestionGroup") -> Iterator[str]:
    yield f"{number}. {_short(group.question)}"
    times = "once" if len(group.events) == 1 else f"{len(group.events):,} times"
    yield f"   {times}: {group.unanswered:,} not answered, {group.disliked:,} disliked"
    for question in group.questions[1:SHOWN_QUESTIONS]:
        yield f"   also: {_short(question)}"
    if len(group.questions) > SHOWN_QUESTIONS:
        yield f"   also: {len(group.questions) - SHOWN_QUESTIONS:,} others"
    for text in group.comments[:SHOWN_COMMENTS]:
        yield f"   reader: {_short(text)}"
    if group.cited:
        yield f"   answered from {', '.join(group.cited[:SHOWN_COMMENTS])}"
    yield f"   -> {proposal(group)}"


def proposal(group: "QuestionGroup") -> str:
    """Return which document to write or extend."""
    nearest = group.nearest
    if not nearest.is_near:
        there = f" (the nearest is {nearest.document})" if nearest.document else ""
        return f'no document is near: write one, such as "{group.title}"{there}'
    where = f", under {nearest.heading}" if nearest.heading else ""
    return f"extend {nearest.document}{where}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _group_row(group: "QuestionGroup") -> "JsonObject":
    """Return a group as a line that can be filled in."""
    nearest = group.nearest
    return {
        "question": group.question,
        "also": list(group.questions[1:]),
        "asked": len(group.events),
        "unanswered": group.unanswered,
        "disliked": group.disliked,
        "comments": list(group.comments),
        "cited": list(group.cited),
        "proposal": proposal(group),
        "document": nearest.document if nearest.is_near else file_name(group.title),
        "heading": nearest.heading if nearest.is_near else "",
        "title": "" if nearest.is_near else group.title,
        "use": "",
        "answer": "",
    }


def file_name(title: str) -> str:
    """Return the name of a document with this title.

    >>> file_name("Parking near the clinic")
    'parking-near-the-clinic.md'
    """
    from groundup.language.terms import words

    plain = ["".join(filter(str.isascii, word)) for word in words(title)]
    return f"{'-'.join(filter(None, plain)) or 'new-document'}.md"


def apply(folder: Path, file: Path, as_json: bool) -> None:
    """Write the corrections of an edited file into the pack."""
    from groundup.packs.corrections import apply_corrections, read_corrections

    done = apply_corrections(folder, read_corrections(file))
    lines = [f"questions held out in questions.jsonl: {len(done.questions):,}"]
    lines += [f"sentences written into {name}: {count:,}" for name, count in done.documents.items()]
    objections = _objections(folder)
    more = {"objections": objections}
    print_result([*lines, *_next_lines(folder, objections)], asdict(done) | more, as_json)


def _objections(folder: Path) -> list[str]:
    from groundup.packs.check import check_pack

    return [str(each) for each in check_pack(folder).objections]


def _next_lines(folder: Path, objections: Sequence[str]) -> list[str]:
    lines = [f"pack check: {each}" for each in objections[:SHOWN_OBJECTIONS]]
    if len(objections) > SHOWN_OBJECTIONS:
        lines.append(f"pack check: {len(objections) - SHOWN_OBJECTIONS:,} more objections")
    return [*lines, f"The assistant has it after: groundup build {folder}"]


def ask(folder: Path, file: Path, index: str) -> None:
    """Ask for an answer to each group, and write each at once."""
    found = find_groups(folder, file, index)
    for line in _summary(found):
        say(line)
    written = 0
    for number, group in enumerate(found.groups, start=1):
        print()
        for line in _group_lines(number, group):
            print(terminal_safe(line))
        answered = _answer_one(folder, group, f"answer {number}")
        if answered is None:
            break
        written += answered
    say(f"{written:,} written.")
    if written:
        for line in _next_lines(folder, _objections(folder)):
            say(line)


def _answer_one(folder: Path, group: "QuestionGroup", place: str) -> int | None:
    """Return how many corrections were written; None: no more are to be asked for."""
    from groundup.packs.corrections import apply_corrections

    while True:
        choice = _typed(CHOICES)
        if choice is None or choice == "x":
            return None
        if not choice:
            return 0
        if choice not in ("q", "d"):
            say(f"{choice!r} is none of q, d, x.")
            continue
        correction = _typed_correction(group, choice, place)
        if correction is None:
            return None
        try:
            apply_corrections(folder, [correction])
            return 1
        except GroundupError as error:
            say(str(error))


def _typed_correction(group: "QuestionGroup", choice: str, place: str) -> "Correction | None":
    from groundup.packs.corrections import HELD_OUT, WRITTEN, Correction

    row = _group_row(group)
    what = "the sentence that the document is to say > "
    if choice == "q":
        what = "the answer, word for word from the document (Enter: rightly refused) > "
    answer = _typed(what)
    if answer is None:
        return None
    if choice == "q" and not answer:
        return Correction(group.question, HELD_OUT, None, None, also=group.questions[1:])
    document = _typed(f"document [{row['document']}] > ")
    if document is None:
        return None
    heading, title = row["heading"], row["title"]
    if document not in ("", row["document"]):
        heading, title = "", group.title
    return Correction(
        group.question,
        HELD_OUT if choice == "q" else WRITTEN,
        answer,
        document or row["document"],
        heading,
        title,
        group.questions[1:],
        place,
    )


def _typed(prompt: str) -> str | None:
    """Return a line; None at the end of the input."""
    try:
        return " ".join(input(prompt).split())
    except EOFError:
        return None
