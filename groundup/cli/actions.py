"""`groundup actions`: what the assistant of a build has done, its mail drafts, the undo of one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.actions.definition import NOW, TODAY
from groundup.cli.console import print_result, table
from groundup.cli.fields import grouped
from groundup.cli.options import ActionOptions, JsonOption
from groundup.errors import ModelError
from groundup.runs import kind_of_place, nearest_names

if TYPE_CHECKING:
    from groundup.actions.world import AuditLine, OutboxMail
    from groundup.http.json_object import JsonObject

# Of a value in the list.
MAX_VALUE_CHARACTERS = 40


@grouped()
def command(
    build: Annotated[Path, Argument(help="A build whose pack has actions.")],
    undo: Annotated[
        str,
        Option("--undo", metavar="REFERENCE", help="Take one back, by the action's own undo."),
    ] = "",
    allowed: ActionOptions = ActionOptions(),
    as_json: JsonOption = False,
) -> None:
    """List what the assistant of a build has done, the newest first, and its drafts of mail.

    Each line stands in the audit of BUILD/world.sqlite, written in one transaction with what was
    done. "undone" was taken back; "failed" changed nothing; "unknown" is a call of an address or a
    function of which it can't be told whether it was carried out: look there.

    Examples:
        groundup actions runs/my-firm
        groundup actions runs/my-firm --json
        groundup actions runs/my-firm --undo S2SNL5
    """
    from groundup.retrieve.assistant import texts_of_build
    from groundup.retrieve.assistant_actions import desk_of_build

    if kind_of_place(build) != "build":
        fix = f"{nearest_names(build, 'build')} Build a pack: groundup build PACK.".strip()
        raise ModelError(f"{build} is no build.", fix=fix)
    language = texts_of_build(build).language
    desk = desk_of_build(build, **allowed.given(), trial=False, language=language)
    if desk is None:
        fix = "Write an actions.toml in its pack (docs/actions.md), and build it again."
        raise ModelError(f"{build} has no actions.", fix=fix)
    if undo:
        turn = desk.undo(undo.strip().upper())
        value = {"reference": turn.reference, "state": turn.kind, "text": turn.text}
        print_result([turn.text], value, as_json)
        return
    lines, drafts = desk.world.audit(), desk.world.outbox()
    shown = {"actions": _entries(lines), "drafts": [vars(each) for each in reversed(drafts)]}
    slots = {each.name: [slot.name for slot in each.slots] for each in desk.actions.actions}
    print_result(_lines(shown["actions"], drafts, slots), shown, as_json)


def _entries(lines: "list[AuditLine]") -> "list[JsonObject]":
    """Return what was done, the newest first: of each key its last line, of one that was taken back
    that it is undone.
    """
    undone = {line.reference for line in lines if (line.effect, line.result) == ("undo", "done")}
    last = {line.key: line for line in lines if line.effect != "undo"}
    found = []
    for line in reversed(last.values()):
        state = line.result
        if state == "done" and line.reference in undone:
            state = "undone"
        if state == "pending":
            state = "unknown"
        found.append({**vars(line), "state": state})
    return found


def _lines(
    entries: "list[JsonObject]", drafts: "list[OutboxMail]", slots: dict[str, list[str]]
) -> list[str]:
    """Return the lists as lines for people, with the values of the actions' slots."""
    if not entries and not drafts:
        return ["Nothing was done yet."]
    rows = [
        [
            each["at"][:16].replace("T", " "),
            each["action"],
            each["reference"],
            each["state"],
            _values_line(each["values"], slots.get(each["action"])),
        ]
        for each in entries
    ]
    found = table(["at (UTC)", "action", "reference", "state", "values"], rows)
    for draft in reversed(drafts):
        head = f"Draft of {draft.at[:16].replace('T', ' ')} to {draft.recipient}: {draft.subject}"
        found += ["", head, *(f"    {line}" for line in draft.body.splitlines())]
    return found


def _values_line(values: "JsonObject", slots: list[str] | None) -> str:
    """Return what was said; of an action that the pack no longer has, everything that was known
    but for the time, which is in `at`.
    """
    names = slots or [name for name in values if name not in (TODAY, NOW)]
    said = [(name, values.get(name)) for name in names]
    return ", ".join(f"{name} {_short(value)}" for name, value in said if value is not None)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    if len(text) > MAX_VALUE_CHARACTERS:
        return f"{text[:MAX_VALUE_CHARACTERS]} ..."
    return text
