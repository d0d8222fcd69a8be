"""`groundup pack new`, `groundup pack check`, `groundup pack improve`: the texts from which an
assistant of an organisation is built.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import console_progress, in_browser, print_result, say
from groundup.cli.plain import terminal_safe
from groundup.cli.usage import VerbApp
from groundup.errors import ConfigError, DataError, GroundupError, in_command
from groundup.files import write_text

if TYPE_CHECKING:
    from groundup.packs.corrections import Correction
    from groundup.packs.feedback import Feedback
    from groundup.packs.pack import Pack
    from groundup.report.values import JsonObject
    from groundup.retrieve.question_groups import QuestionGroup

app = VerbApp(
    "Domain packs: the texts from which `groundup build PACK` makes an assistant (docs/packs.md)."
)
SHOWN = 20
SHOWN_QUESTIONS, SHOWN_COMMENTS, SHOWN_OBJECTIONS = 4, 3, 5
LONGEST = 160
CHOICES = "held-out [q]uestion, sentence of a [d]ocument, Enter: next, [x]: end > "


@app.command("new")
def new(
    name: Annotated[str, Argument(help="The name of the pack, and of its folder.")],
    out: Annotated[
        Path | None,
        Option("--out", callback=options.folder_to_write, help="Its folder; default: NAME."),
    ] = None,
    documents: Annotated[
        list[str] | None,
        Option(
            "--from",
            metavar="DOCS",
            help="Begin with these documents (folders, files, PDFs ...) and questions made from them; "
            "can be given several times.",
        ),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Begin a pack: a small, complete one about an invented workshop, whose texts you replace by
    your own; or --from your documents, with questions made from them as instructions.

    Of your documents the texts become documents/*.md. Facts, customers' messages and customers'
    questions are yours to write; what is not there is not built, as `pack check` says.

    Examples:
        groundup pack new my-firm
        groundup pack new my-firm --from manuals/ --from prices.xlsx
        groundup pack check my-firm
        groundup build my-firm
    """
    from groundup.packs.pack import new_pack

    if out is None and len(Path(name).parts) > 1:
        folder = Path(name).resolve()
        raise ConfigError(
            f"'{name}' is a path, expected a name.",
            fix=f"Write: groundup pack new {folder.name} --out {name}",
        )
    folder = out or Path(name)
    if documents:
        begin_from(name, documents, folder, as_json)
        return
    files = new_pack(name, folder)
    lines = [
        f"{folder}: {len(files)} files",
        "Write facts.toml first, then replace the texts; after each change:",
    ]
    print_result(
        [*lines, f"  groundup pack check {in_command(folder)}"],
        {"folder": str(folder), "files": files},
        as_json,
    )


def begin_from(name: str, documents: list[str], folder: Path, as_json: bool) -> None:
    """Begin a pack with documents, and say what it has and lacks."""
    from groundup.api.questions import new_pack_from
    from groundup.packs.check import check_pack

    files, made = new_pack_from(name, documents, folder, progress=console_progress())
    count = len(made.questions)
    about = f"{count:,} instructions made from the documents: read them"
    if not count:
        about = "no question could be made from the documents"
    lines = [
        f"{folder}: {len(files)} files; {about}",
        *check_pack(folder).notes,
        "There is no actions.toml: questions are answered and nothing is done for anyone. "
        "`groundup pack new sample` writes a pack with two actions to begin from (docs/actions.md).",
        f"After each change: groundup pack check {in_command(folder)}",
    ]
    plain = {"folder": str(folder), "files": files, "instructions": count, "kinds": made.kinds}
    print_result(lines, plain, as_json)
    if made.is_stopped:
        raise KeyboardInterrupt


@app.command("check")
def check(
    pack: Annotated[
        str, Argument(metavar="PACK", help="A pack's folder, or the name of a packaged pack.")
    ],
    as_json: options.JsonOption = False,
) -> None:
    """Hold every text of a pack against its facts: file, line and reason of whatever is wrong; the
    exit code is 2 if anything is.

    Each number, price, time and name must be in facts.toml or be marked as free in pack.toml. An
    answer must stand in its document, no text may nearly repeat another, and an intent needs ten
    messages. Actions must be whole, their SQL must fit world.sql, and a rule's quotation must stand
    in its document.

    Examples:
        groundup pack check bank
        groundup pack check my-firm --json
    """
    from groundup.packs.check import check_pack
    from groundup.packs.pack import pack_folder

    checked = check_pack(pack_folder(pack))
    counts = ", ".join(f"{count:,} {part}" for part, count in checked.counts.items())
    lines = [*map(str, checked.objections), *checked.notes, f"{checked.pack.folder}: {counts}"]
    print_result(lines, checked.to_plain(), as_json)
    if checked.objections:
        count, first = f"{len(checked.objections)} objections", checked.objections[0]
        if len(checked.objections) == 1:
            count = "1 objection"
        fix = "Mend the text, put the fact into facts.toml, or mark it as free in pack.toml."
        if first.blocks:
            fix = "Mend that first: nothing can be built before."
        raise DataError(f"{pack}: {count}; the first: {str(first).rstrip('.?')}.", fix=fix)


@app.command("improve")
def improve(
    pack: Annotated[
        str, Argument(metavar="PACK", help="A pack's folder, or the name of a packaged pack.")
    ],
    feedback: Annotated[
        Path, Option("--feedback", metavar="FILE", help="What `serve --feedback FILE` wrote.")
    ] = Path("feedback.jsonl"),
    index: Annotated[
        str, Option("--index", metavar="NAME", help="Only what this index was asked; default: all.")
    ] = "",
    out: Annotated[
        Path | None,
        Option(
            "--out",
            metavar="FILE",
            callback=options.file_to_write,
            help="Write a line of JSON for each group, to be filled in.",
        ),
    ] = None,
    corrections: Annotated[
        Path | None,
        Option("--corrections", metavar="FILE", help="Write the filled-in lines into the pack."),
    ] = None,
    ask: Annotated[
        bool, Option("--ask", help="Ask for an answer to each group, and write it at once.")
    ] = False,
    html: Annotated[
        Path | None,
        Option(
            "--html", metavar="FILE", callback=options.file_to_write, help="Write a page of them."
        ),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show what readers asked in vain, in groups, the biggest first, and which document to write or
    extend; answers become held-out questions or sentences of documents, never both.

    A question that was refused, or whose answer a reader disliked, is grouped with those that ask
    the same. A held-out question ("use": "question") measures; its answer stands in a document word
    for word, or is null: rightly refused. A sentence ("use": "document") goes into a document.
    improved.jsonl remembers both, so that what measures never teaches: docs/howto/assistant.md.

    Examples:
        groundup pack improve my-firm --feedback feedback.jsonl
        groundup pack improve my-firm --html asked.html
        groundup pack improve my-firm --ask
        groundup pack improve my-firm --out corrections.jsonl
        groundup pack improve my-firm --corrections corrections.jsonl
    """
    from groundup.packs.pack import pack_folder

    folder = pack_folder(pack)
    given = {"--corrections": corrections, "--ask": ask or None, "--out": out, "--html": html}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1 and named != ["--out", "--html"]:
        fix = "Give one of them."
        raise ConfigError(f"{named[0]} and {named[1]} can't be combined.", fix=fix)
    if ask and as_json:
        raise ConfigError("--ask and --json can't be combined.", fix="Give one of them.")
    if corrections is not None:
        apply_file(folder, corrections, as_json)
    elif ask:
        ask_operator(folder, feedback, index)
    else:
        show_groups(folder, feedback, index, out, html, as_json)


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


def show_groups(
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
        how = f"groundup pack improve {in_command(folder)} --corrections {in_command(out)}"
        lines += ["", f'{out}: fill in "use" and "answer" of what you can answer, then: {how}']
    if html is not None:
        from groundup.report.pages.improvement_page import render_improvement_page

        write_text(html, render_improvement_page(found.to_plain()))
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
    language, done = pack.head.texts_language, len(chosen) - len(events)
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


def apply_file(folder: Path, file: Path, as_json: bool) -> None:
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
    return [*lines, f"The assistant has it after: groundup build {in_command(folder)}"]


def ask_operator(folder: Path, file: Path, index: str) -> None:
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
