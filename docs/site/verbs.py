"""docs/verbs.md: every verb with its arguments and options, written from the parser of the command line.

python docs/site/verbs.py           say whether the page is up to date; exit code 1 if not
python docs/site/verbs.py --write   write it
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from rich.text import Text

from groundup.cli.main import CONTENTS, VERBS, load_verb

# What an option takes, where it has no word of its own for it.
KINDS: dict[Any, str] = {int: "N", float: "NUMBER", Path: "PATH"}
PAGE = Path(__file__).parents[1] / "verbs.md"
INTRODUCTION = """# Verbs and options

Written from the command line's parser (`python docs/site/verbs.py --write`); the tests compare. `groundup VERB --help` shows the same. Options that
can be given several times are marked with `...`."""


def page() -> str:
    """Return the whole page as Markdown."""
    contents = [
        part
        for heading, verbs in CONTENTS.items()
        for part in (f"**{heading}**", contents_of(verbs))
    ]
    sections = [section for name in VERBS for section in verb_sections(name)]
    return "\n\n".join([INTRODUCTION, *contents, *sections]) + "\n"


def contents_of(verbs: dict[str, str]) -> str:
    """Return the verbs under a heading of `groundup --help`, each with a link to its section."""
    return "\n".join(f"- [`{name}`](#{name}): {summary}" for name, summary in verbs.items())


def verb_sections(name: str) -> Iterator[str]:
    """Yield a verb's section, then one for each of its commands."""
    command = load_verb(name)
    commands = getattr(command, "commands", {})
    yield section(f"## {name}", f"groundup {name}", command, bool(commands))
    for sub, each in commands.items():
        yield section(f"### {name} {sub}", f"groundup {name} {sub}", each, False)


def section(heading: str, path: str, command: Any, group: bool) -> str:
    """Return one command: its help, usage, examples, arguments and options."""
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    begin = paragraphs.index("Examples:") if "Examples:" in paragraphs else len(paragraphs)
    words, examples = [plain(part) for part in paragraphs[:begin]], paragraphs[begin + 1 :]
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [
        each for each in command.params if each.param_type_name == "option" and not each.hidden
    ]
    usage = " ".join(
        [
            path,
            *(usage_of(each) for each in arguments),
            *(["COMMAND"] if group else []),
            *(["[OPTIONS]"] if options else []),
        ]
    )
    parts = [heading, *words, fence(usage)]
    if examples:
        parts += ["Examples:", fence("\n".join(examples))]
    rows = [row(code(metavar(each)), each) for each in arguments] + [
        row(option_names(each), each) for each in options
    ]
    if rows:
        parts.append(
            "\n".join(["| argument or option | default | meaning |", "|---|---|---|", *rows])
        )
    return "\n\n".join(parts)


def fence(text: str) -> str:
    return f"```text\n{text}\n```"


def plain(text: str) -> str:
    """Return help without rich's markup, safe in Markdown."""
    return re.sub(r"([<\[\]|*_])", r"\\\1", Text.from_markup(text).plain)


def metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def usage_of(argument: Any) -> str:
    shown = metavar(argument) + (
        "..." if argument.nargs == -1 and not metavar(argument).endswith("...") else ""
    )
    return shown if argument.required else f"[{shown}]"


def option_names(option: Any) -> str:
    """Return the names of an option and what it takes, as code."""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    annotation = option.type_descriptor.annotation
    if annotation is bool:
        return names
    inner = get_args(annotation) if get_origin(annotation) is list else (annotation,)
    choices = [value for each in inner if get_origin(each) is Literal for value in get_args(each)]
    taken = option.metavar or "|".join(choices) or KINDS.get(inner[0], "TEXT")
    return f"{names} {code(taken)}" + (" ..." if option.multiple else "")


def code(text: str) -> str:
    """Return text as code in a cell of a table."""
    return "`" + text.replace("|", "\\|") + "`"


def row(name: str, parameter: Any) -> str:
    """Return an argument's or option's row of the table."""
    default, shown = parameter.default, ""
    if parameter.required:
        shown = "required"
    elif isinstance(parameter.show_default, str):
        shown = parameter.show_default
    elif default not in (None, False, "", ()) and not callable(default):
        shown = code(str(default))
    return f"| {name} | {shown} | {plain(parameter.help or '')} |"


def main() -> int:
    if "--write" in sys.argv:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() == page():
        return 0
    print(
        f"{PAGE.name} is not what the parser says. Run: python docs/site/verbs.py --write",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
