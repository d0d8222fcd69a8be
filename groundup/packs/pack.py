"""A pack: its files, read and checked for their form. What does not stand in its form is an
objection with its line; the rest is read all the same.

pack, objections = read_pack(Path("my-firm"))
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.config import build_config, parse_toml, read_toml
from groundup.errors import ConfigError, DataError, FormatError, did_you_mean, in_command
from groundup.files import read_text, safe_name, write_text
from groundup.packs.assistant_texts import AssistantTexts

PACKAGED = Path(__file__).parent
SKELETON = "skeleton"
PACK_FILE, FACTS_FILE, DOCUMENTS = "pack.toml", "facts.toml", "documents"
MAX_BYTES = 64 * 2**20
# With fewer questions that documents answer nothing is chosen on them: a tenth is one or two.
MIN_QUESTIONS = 20
# The fields of each part's lines, in order, with the types of their values. A pack without a part
# has no stage for it: chat, intents, answers, summaries.
TEXT, MAYBE, TEXTS = (str,), (str, type(None)), (list,)
FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "instructions": {"instruction": TEXT, "input": TEXT, "output": TEXT, "document": MAYBE},
    "messages": {"text": TEXT, "label": TEXT},
    "questions": {"question": TEXT, "answer": MAYBE, "document": MAYBE},
    "summaries": {"document": MAYBE, "text": TEXT, "summary": TEXT, "key_facts": TEXTS},
}
# Of an instruction that `pack new --from` made of a document: nothing is chosen on it.
MADE = "made"
FILES = (
    *(PACK_FILE, FACTS_FILE, "documents/*.md", *(f"{part}.jsonl" for part in FIELDS)),
    *("actions.toml", "world.sql"),
)
# May be empty.
EMPTY = ("input",)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class PackIssue:
    """What is wrong at a place of a pack."""

    place: str
    """FILE or FILE:LINE."""
    reason: str
    blocks: bool = False
    """Whether nothing can be built until it is mended."""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class Free:
    """What may stand in texts without being a fact: what belongs to people's own stories."""

    numbers: tuple[int | float | str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Head:
    """The contents of pack.toml."""

    name: str
    title: str
    organisation: str
    about: str = ""
    """One sentence."""
    language: str = ""
    """Of its texts, such as "de"; "": English, with the labels of a reader's browser."""
    none_label: str = "none of these"
    """The label of messages that have none of the intents."""
    free: Free = Free()
    assistant: AssistantTexts = field(default_factory=AssistantTexts)
    """What its assistant says in fixed words."""

    @property
    def texts_language(self) -> str:
        """The language in which the texts are read."""
        return self.language or "en"


@dataclass(frozen=True)
class PackRow:
    """A line of a part."""

    place: str
    """FILE:LINE."""
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


@dataclass(frozen=True)
class Pack:
    """The contents of a pack's folder, as far as it stands in its form."""

    folder: Path
    head: Head
    facts: Mapping[str, Any]
    documents: Mapping[str, str]
    """The Markdown texts by their file names."""
    parts: Mapping[str, Sequence[PackRow]] = field(default_factory=dict)
    """The lines of instructions, messages, questions and summaries."""

    @property
    def counts(self) -> dict[str, int]:
        """The number of documents and of the lines of each part."""
        return {
            DOCUMENTS: len(self.documents),
            **{name: len(rows) for name, rows in self.parts.items() if rows},
        }


def packaged_packs() -> dict[str, Path]:
    """Return the packs that go by a name."""
    return {
        file.parent.name: file.parent
        for file in sorted(PACKAGED.glob(f"*/{PACK_FILE}"))
        if file.parent.name != SKELETON
    }


def is_pack(folder: Path) -> bool:
    """Whether a folder is a pack and no folder of texts."""
    return (folder / PACK_FILE).is_file()


def pack_folder(name_or_path: str) -> Path:
    """Return the folder of a packaged pack, or one's own. Raises DataError."""
    packs, path = packaged_packs(), Path(name_or_path)
    if is_pack(path):
        return path
    if name_or_path in packs:
        return packs[name_or_path]
    if path.is_dir():
        fix = (
            f"As a folder of texts it can be built: groundup build {in_command(path)}. "
            "A pack begins with: groundup pack new NAME."
        )
        raise DataError(f"{path} is not a pack: it has no {PACK_FILE}.", fix=fix)
    raise DataError(
        f"There is no pack '{name_or_path}'.",
        fix=f"{did_you_mean(name_or_path, packs)} Or give a folder.",
    )


def read_pack(folder: Path) -> tuple[Pack, list[PackIssue]]:
    """Return a pack and what does not stand in its form.

    Raises DataError where it is no pack, or its TOML files can't be read.
    """
    head, facts = read_head(folder), read_facts(folder)
    found: list[PackIssue] = []
    documents = read_documents(folder, found)
    parts: dict[str, Sequence[PackRow]] = dict.fromkeys(FIELDS, ())
    for name in FIELDS:
        if (folder / f"{name}.jsonl").exists():
            parts[name] = list(rows_of(folder, name, found))
    return Pack(folder, head, facts, documents, parts), found


def read_head(folder: Path) -> Head:
    """Return the contents of pack.toml. Raises DataError."""
    file = folder / PACK_FILE
    try:
        return build_config(Head, read_toml(file))
    except ConfigError as error:
        reason = error.message.removeprefix(f"{file} ")
        raise DataError(f"{file}: {reason}", fix=error.fix or "See docs/packs.md.") from error


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the facts. Raises DataError, also for a fact that is given twice."""
    file = folder / FACTS_FILE
    try:
        return parse_toml(read_text(file, max_bytes=MAX_BYTES))
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
        if "overwrite" in reason:
            reason = f"A fact is given twice, and the two may contradict each other: {reason}"
        fix = "Give each fact once, in quotation marks where it is no number."
        raise DataError(f"{file} can't be read. {reason}.", fix=fix) from error
    except FormatError as error:
        raise DataError(
            f"{file} {error.reason}.", fix="It holds the facts of the pack: docs/packs.md."
        ) from error


def read_documents(folder: Path, found: list[PackIssue]) -> dict[str, str]:
    """Return the texts of documents/*.md."""
    documents = {}
    for file in sorted((folder / DOCUMENTS).glob("*.md")):
        place = f"{DOCUMENTS}/{file.name}"
        text = decode_file(file, place, found)
        if text is None:
            continue
        documents[file.name] = text
        if not text.startswith("# "):
            found.append(PackIssue(f"{place}:1", "the first line is no title: # Title"))
    if not documents:
        reason = "the pack has no documents: write at least one *.md"
        found.append(PackIssue(DOCUMENTS, reason, blocks=True))
    return documents


def rows_of(folder: Path, part: str, found: list[PackIssue]) -> Iterator[PackRow]:
    """Yield the lines of a part that stand in its form."""
    file = folder / f"{part}.jsonl"
    text = decode_file(file, file.name, found)
    for number, line in enumerate((text or "").split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{file.name}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            found.append(PackIssue(place, f"is no JSON: {error}", blocks=True))
            continue
        if fault := fault_of(value, FIELDS[part]):
            found.append(PackIssue(place, fault, blocks=True))
        else:
            yield PackRow(place, value)


def document_questions(rows: Iterable[PackRow]) -> list[str]:
    """Return the different questions among instructions that a document answers: on them the
    evidence that an answer needs is chosen. Not those that were made of it, which are easier than
    what customers ask.
    """
    asked = (row for row in rows if not row.values.get(MADE))
    return list(
        dict.fromkeys(row["instruction"] for row in asked if row["document"] and not row["input"])
    )


def pack_rows(file: Path) -> list[PackRow]:
    """Return the lines of a part's file.

    Raises DataError for the first that does not stand in its form, and for none.
    """
    found: list[PackIssue] = []
    rows = list(rows_of(file.parent, file.stem, found))
    if found or not rows:
        reason = next(map(str, found), f"{file} has no line")
        fix = f"See what else: groundup pack check {in_command(file.parent)}"
        raise DataError(f"{reason}.", fix=fix)
    return rows


def decode_file(file: Path, place: str, found: list[PackIssue]) -> str | None:
    """Return the text of a file of the pack; None where it can't be read."""
    try:
        return read_text(file, max_bytes=MAX_BYTES)
    except FormatError as error:
        found.append(PackIssue(place, error.reason, blocks=True))
    return None


def fault_of(value: Any, fields: Mapping[str, tuple[type, ...]]) -> str:
    """Return what is wrong with the form of a line; "" where nothing is.

    >>> fault_of({"text": "Hi"}, FIELDS["messages"])
    "has no field 'label'"
    """
    if not isinstance(value, dict):
        return f"is no object with the fields {', '.join(fields)}"
    for name in fields:
        if name not in value:
            return f"has no field '{name}'"
    for name in value:
        if name not in fields and (name, value[name]) != (MADE, True):
            return f"has an unknown field '{name}' (fields: {', '.join(fields)})"
    faults = (_value_fault(value[name], types, name in EMPTY) for name, types in fields.items())
    return next(
        (f"'{name}' {fault}" for name, fault in zip(fields, faults, strict=True) if fault), ""
    )


def _value_fault(value: Any, types: tuple[type, ...], may_be_empty: bool) -> str:
    """Return what is wrong with the value of a field; "" where nothing is."""
    if list in types:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            return "is no list of texts"
        texts = value
    elif not isinstance(value, types):
        return "is no text"
    else:
        texts = [value]
    is_empty = not texts or any(each is not None and not each.strip() for each in texts)
    if is_empty and not may_be_empty:
        return "is empty"
    if any(each and _SURROGATE.search(each) for each in texts):
        return "has a lone surrogate, which is no character"
    return ""


def require_pack_name(name: str) -> None:
    """Raises ConfigError where it can't be one."""
    try:
        safe_name(name)
    except FormatError as error:
        fix = "Name it my-firm, for example."
        raise ConfigError(f"A pack's name {error.reason} (got {name!r}).", fix=fix) from error


def new_pack(name: str, folder: Path) -> list[str]:
    """Write the pack into a new folder; return the names of its files.

    Raises ConfigError, DiskError.
    """
    require_pack_name(name)
    if folder.exists():
        fix = "Choose another name, or another folder."
        raise ConfigError(f"{folder} exists already.", fix=fix)
    skeleton = PACKAGED / SKELETON
    files = sorted(file for pattern in FILES for file in skeleton.glob(pattern))
    names = [file.relative_to(skeleton).as_posix() for file in files]
    for file, place in zip(files, names, strict=True):
        text = file.read_text(encoding="utf-8")
        if place == PACK_FILE:
            text = re.sub(r'(?m)^name = ".*"$', f'name = "{name}"', text, count=1)
        write_text(folder / place, text)
    return names
