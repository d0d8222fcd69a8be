"""A pack of one's own documents: their texts as Markdown, and questions made from them as
instructions. Facts, messages and customers' questions are left to who knows them.

    index of documents -> documents/*.md, instructions.jsonl (if any were made), pack.toml, facts.toml
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomli_w

from groundup.errors import ConfigError, DataError
from groundup.files import json_bytes, make_folder, replace_folder, safe_name, write_text
from groundup.locks import temporary_folder
from groundup.packs.pack import DOCUMENTS, FACTS_FILE, MADE, PACK_FILE
from groundup.retrieve.index import Index
from groundup.retrieve.made_questions import MadeQuestion

FACTS = """# Every name, number, price, time and rule of the organisation, once, in tables by subject:
# `groundup pack check` holds every text against them as soon as there is one.
#
# [office]
# hours = "Monday to Friday 9 am to 5 pm"
"""
ASSISTANT = """
# What the assistant says in fixed words and shows (docs/packs.md, "The assistant"); `organisation`
# above is the name that customers read. Remove the # of what you write:
#
# [assistant]
# greeting = "Hello. I am our automatic assistant, a computer program."
# questions = ["When are you open?"]
# contact = "call 01632 960000 or write to desk@firm.example."
# colour = "#RRGGBB"
# staff_documents = ["staff-*"]  # for your own people; customers are not answered from these
"""
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
# A short line without an end mark, before a blank line or one that begins anew.
_TITLE_LINE = re.compile(
    r"\A\s*(\w[^\n|]{0,78}[^\s.!?:;,|])[ \t]*\n(?=\s*\n\s*\S|[ \t]*(?![a-zß-ÿ])[\w-])"
)
_TITLE = re.compile(r"\A\s*#[ \t]+(\S[^\n]*)")


def write_pack(name: str, folder: Path, index: Index, made: Sequence[MadeQuestion]) -> list[str]:
    """Write the pack of the documents of an index into a new folder; return the names of its files.

    Raises ConfigError (the folder exists), FormatError (of the name), DataError (no text), DiskError.
    """
    safe_name(name)
    if folder.exists():
        fix = "Choose another name, or another folder."
        raise ConfigError(f"{folder} exists already.", fix=fix)
    documents: dict[str, str] = {}
    names: dict[str, str] = {}
    for id, place in index.rows("SELECT id, name FROM document ORDER BY id"):
        file = _file_name(str(place), documents)
        names.setdefault(str(place), file)
        documents[file] = as_markdown(index.document_text(id), Path(str(place)).stem)
    if not documents:
        raise DataError(f"{index.folder} has no documents with text.", fix="Name documents.")
    contents = {f"{DOCUMENTS}/{file}": text for file, text in documents.items()}
    contents[PACK_FILE] = tomli_w.dumps(_head(name)) + ASSISTANT
    contents[FACTS_FILE] = FACTS
    if made:
        contents["instructions.jsonl"] = _instructions(made, names)
    make_folder(folder.parent)
    with temporary_folder(folder.parent) as temporary:
        for file, text in contents.items():
            write_text(temporary / "pack" / file, text)
        replace_folder(temporary / "pack", folder)
    return list(contents)


def as_markdown(text: str, stem: str) -> str:
    """Return the text of a document below a title, which a pack's first lines are: its own first
    line where that is one, as an e-mail's subject is, else its file's name.

    >>> as_markdown("Open at 9.", "opening_hours")
    '# Opening hours\\n\\nOpen at 9.\\n'
    """
    if _TITLE.match(text):
        return f"{text.strip()}\n"
    if named := _TITLE_LINE.match(text):
        return f"# {named[1]}\n\n{text[named.end() :].strip()}\n"
    title = " ".join(re.split(r"[\W_]+", stem)).strip() or "Document"
    return f"# {title[0].upper()}{title[1:]}\n\n{text.strip()}\n"


def _file_name(place: str, taken: Mapping[str, str]) -> str:
    stem = _NOT_IN_NAMES.sub("-", str(Path(place).with_suffix("")).replace("/", "-")).strip("-.")
    name, number = f"{stem or 'document'}.md", 2
    while name in taken:
        name, number = f"{stem or 'document'}-{number}.md", number + 1
    return name


def _head(name: str) -> dict[str, str]:
    return {"name": name, "title": f"{name} help desk", "organisation": name, "language": "en"}


def _instructions(made: Sequence[MadeQuestion], names: Mapping[str, str]) -> str:
    rows = [
        {
            "instruction": each.question,
            "input": "",
            "output": each.answer,
            "document": names[each.document],
            MADE: True,
        }
        for each in made
    ]
    return "".join(f"{json_bytes(row).decode().strip()}\n" for row in rows)
