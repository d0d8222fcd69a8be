"""How the wishes of a new firm's customers are heard, by the number of examples that its actions have.

python benchmarks/said_wishes.py [--words] [--examples 3 10] [--firms N] [--held-out]

The firms of benchmarks/said_wishes, on which the encoder of messages was trained (`message_encoder.py`): of each action's messages some, drawn at
random, are its examples, a third as many near ones its near questions; all others are heard once: begun, asked about as one of two, offered, or none
of these. --held-out: the firms of benchmarks/said_wishes/held_out, on which nothing was fitted: their owners wrote the examples, two other writers,
who saw the titles alone, what customers say.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from groundup.actions.definition import Action
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_meaning import MessageEncoder
from groundup.device import select_compute
from groundup.progress import Silent
from groundup.retrieve.message_encoder import find_message_encoder

SAID = Path(__file__).with_name("said_wishes")
STYLES = (
    ["order"] * 4 + ["story"] * 4 + ["question"] * 2 + ["hurry"] * 2 + ["long"] * 2 + ["short"] * 2
)


HELD_OUT = SAID / "held_out" / "four.jsonl"
HELD_OUT_STYLES = ["order"] * 3 + ["story"] * 2 + ["hurry", "long", "short"]


def firms() -> list[dict]:
    """Return the firms of all writers."""
    files = sorted(SAID.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def drawn(
    firm: dict, examples: int, draw: random.Random
) -> tuple[list[Action], list[tuple[str, str, str]]]:
    """Return a firm's actions, and of the messages that are none of their texts the style, the text and the action ("": none)."""
    actions, rest = [], [("question", text, "") for text in firm["questions"]]
    for number, each in enumerate(firm["actions"]):
        messages, near = [*zip(STYLES, each["messages"], strict=True)], [*each["near"]]
        draw.shuffle(messages)
        draw.shuffle(near)
        own = tuple(text for _, text in messages[:examples])
        kept = max(1, examples // 3)
        name = f"action_{number}"
        actions.append(
            Action(name, each["title"], "Done.", examples=own, not_examples=tuple(near[:kept]))
        )
        rest += [(style, text, name) for style, text in messages[examples:]]
        rest += [("near", text, "") for text in near[kept:]]
    return actions, rest


def written_apart(examples: int) -> Iterator[tuple[list[Action], list[tuple[str, str, str]]]]:
    """Yield the same of the firms of HELD_OUT, whose actions have the first so many examples of their owners."""
    for line in HELD_OUT.read_text("utf-8").splitlines():
        firm = json.loads(line)
        actions, rest = [], [("question", text, "") for text in firm["questions"]]
        for number, each in enumerate(firm["actions"]):
            name, own = f"action_{number}", tuple(each["examples"][:examples])
            near = tuple(each["not_examples"])
            actions.append(Action(name, each["title"], "Done.", examples=own, not_examples=near))
            rest += [(*said, name) for said in zip(HELD_OUT_STYLES, each["messages"], strict=True)]
            rest += [("near", text, "") for text in each["near"]]
        yield actions, rest


def heard(chooser: ActionChooser, text: str, wanted: str) -> str:
    """Return what becomes of a message: "begun", "of two", "offered" or "none", with "wrong " before where it is another action."""
    pair, chosen = chooser.either(text), chooser.choose(text)
    offered = chooser.choose(text, is_unsure=True)
    for how, named in (
        ("of two", pair),
        ("begun", chosen and (chosen,)),
        ("offered", offered and (offered,)),
    ):
        if named:
            return how if wanted in named else f"wrong {how}"
    return "none"


def print_heard(
    heard_of: Iterable[tuple[list[Action], list[tuple[str, str, str]]]],
    encoder: MessageEncoder | None,
) -> None:
    """Print what becomes of the messages of firms, by style."""
    found = dict[str, Counter[str]]()
    for actions, rest in heard_of:
        chooser = ActionChooser(actions, encoder)
        for style, text, wanted in rest:
            for name in (style, "wishes") if wanted else (style,):
                found.setdefault(name, Counter()).update([heard(chooser, text, wanted)])
    for style, counts in found.items():
        shares = ", ".join(f"{how} {n / counts.total():.1%}" for how, n in counts.most_common())
        print(f"  {style:<9}{counts.total():>6}  {shares}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--words", action="store_true", help="by words alone")
    parser.add_argument(
        "--examples", type=int, nargs="+", default=[3, 10], help="of each action, at most 12"
    )
    parser.add_argument("--firms", type=int, default=42, help="how many of them are heard")
    parser.add_argument("--held-out", action="store_true", help="those of said_wishes/held_out")
    arguments = parser.parse_args()
    encoder = None
    if not arguments.words:
        encoder = find_message_encoder(select_compute("cpu"), Silent())
    for examples in arguments.examples:
        print(f"{examples} examples an action")
        if arguments.held_out:
            print_heard(written_apart(examples), encoder)
        else:
            draw = random.Random(examples)
            print_heard(
                (drawn(firm, examples, draw) for firm in firms()[: arguments.firms]), encoder
            )


if __name__ == "__main__":
    main()
