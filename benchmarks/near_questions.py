"""What an assistant replies to questions that lie near an action, and to orders in the form of a question.

python benchmarks/near_questions.py [--each] [FILE.jsonl]

The firms of benchmarks/near_questions, a line each: actions with five examples, documents, questions with the strings of which a right sentence has
one, questions that no document answers, and orders (six plain, six in the form of a question, four stories or with slips). Each message begins a
conversation with the whole assistant: index with vectors, first reader, a desk whose actions ask for a day, a time and a name.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import groundup
from groundup.actions.desk import ActionDesk
from groundup.device import select_compute
from groundup.packs.assistant_texts import AssistantTexts
from groundup.progress import Silent
from groundup.retrieve.answer import AskConfig
from groundup.retrieve.assistant import read_conversation, searching
from groundup.retrieve.assistant_actions import hear_by_meaning
from groundup.retrieve.assistant_reply import AssistantReading
from groundup.retrieve.caller import Caller
from groundup.retrieve.danger import hears_danger
from groundup.retrieve.index import Index
from groundup.retrieve.vectors import open_vectors
from groundup.tokenizer.chat import Message

FIRMS = Path(__file__).with_name("near_questions") / "firms.jsonl"
ORDER_STYLES = ["plain"] * 6 + ["question"] * 6 + ["story"] * 4
SLOTS = {
    "day": ("date", "On which day?"),
    "at": ("time", "At what time?"),
    "name": ("name", "In whose name?"),
}


def actions_toml(firm: dict) -> str:
    """Return the actions of a firm as a file; JSON's strings and lists are TOML's."""
    text = ""
    for each in firm["actions"]:
        table = f"actions.{each['name']}"
        text += f"[{table}]\ntitle = {json.dumps(each['title'])}\nexamples = {json.dumps(each['examples'])}\n"
        text += 'confirm = "On {day} at {at} for {name}: shall I?"\ndone = "Done: {reference}."\n'
        for name, (kind, asks) in SLOTS.items():
            text += f'[{table}.slots.{name}]\ntype = "{kind}"\nask = "{asks}"\n'
        text += (
            f'[{table}.effect]\nsql = "INSERT INTO wishes VALUES (:reference, :day, :at, :name)"\n'
        )
    return text


def messages_of(firm: dict) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the kind of each message, its text and what is accepted: strings of a sentence, or an action."""
    for each in firm["questions"]:
        yield "question", each["text"], each["answers"]
    for text in firm["unanswered"]:
        yield "unanswered", text, []
    for style, each in zip(ORDER_STYLES, firm["orders"], strict=True):
        yield f"order, {style}", each["text"], [each["action"]]


def outcome(reading: AssistantReading, kind: str, accepted: list[str]) -> str:
    """Return what became of a message."""
    turn, quotes = reading.action, reading.documents.quotes
    found = "no answer"
    if quotes:
        text = f"{quotes[0].text} {quotes[0].in_words}"
        found = "right" if any(each in text for each in accepted) else "other sentence"
    if turn is None:
        return found
    names = [turn.action.name] if not turn.choices else []
    is_other = kind.startswith("order") and names and names[0] not in accepted
    named = f"{'another ' * bool(is_other)}action"
    if turn.is_unsure:
        return f"{found}, {named} offered"
    return f"{named} begun" if kind.startswith("order") else f"action begun, {found}"


def main() -> None:
    """Print the counts by kind of message."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=FIRMS)
    parser.add_argument("--each", action="store_true", help="print each message, too")
    arguments = parser.parse_args()
    compute, counts = select_compute("cpu"), dict[str, Counter[str]]()
    for line in arguments.file.read_text("utf-8").splitlines():
        firm = json.loads(line)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "documents").mkdir()
            for number, text in enumerate(firm["documents"]):
                (folder / "documents" / f"{number}.md").write_text(text, "utf-8")
            (folder / "actions.toml").write_text(actions_toml(firm), "utf-8")
            (folder / "world.sql").write_text("CREATE TABLE wishes (reference, day, at, name);")
            groundup.index(
                folder / "documents", folder / "index", vectors=(None, "none"), progress=Silent()
            )
            index = Index(folder / "index")
            vectors = open_vectors(folder / "index", compute, progress=Silent())
            desk = ActionDesk(folder)
            hear_by_meaning(desk, vectors)
            search, danger = searching(index, AskConfig(), vectors=vectors), hears_danger(vectors)
            for number, (kind, text, accepted) in enumerate(messages_of(firm)):
                said, caller = [Message("user", text)], Caller(conversation=f"{number}")
                reading = read_conversation(said, AssistantTexts(), search, desk, caller, danger)
                what = outcome(reading, kind, accepted)
                counts.setdefault(kind, Counter()).update([what])
                if arguments.each:
                    print(json.dumps([firm["firm"], kind, text, what]), flush=True)
    for kind, found in counts.items():
        print(f"{kind:<16}{found.total():>5}  {dict(found.most_common())}", flush=True)


if __name__ == "__main__":
    main()
