"""Customers of tau2-bench's airline who answer from written lines, and their conversations with an assistant.

A user is a JSON line (tau2_firm/users_train.jsonl, users_test.jsonl): `opening` is the first message, `answers` what is said when the
assistant asks for a topic, `agrees` when a summary is said yes to, `then` the wishes that come after the first, `insists` what is said when
refused. Variant 0 is plain; 1, 2 and 3 say the same in other words. The lines were written by a language model from the benchmark's
scenario alone, without sight of the right actions or of this package's code.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.actions.state import ActionTurn

# Of slots whose name is not their topic.
TOPICS = {
    **dict.fromkeys(("outbound", "pick"), "flight"),
    **dict.fromkeys(("day", "back_day"), "date"),
    **dict.fromkeys(("method", "card"), "payment"),
    **dict.fromkeys(("old_name", "new_name", "fliers", "companion"), "passengers"),
    "trip": "trip_type",
    "more": "bags",
    **dict.fromkeys(("born", "companion_born"), "birth_date"),
}
MENU = "I can book a flight, change flights, cabin or a passenger, add bags, cancel, or see to a late flight. What shall I do?"
MAX_MESSAGES, MAX_ASKED = 40, 3
UNKNOWN, LEAVE, AGREED = "I don't know.", "Never mind, leave it.", "Yes"
_LIMIT = re.compile(
    r"(?:up to|less than|below|under|more than|above|over|at most|maximum of|budget (?:is|of)|within|max) (?:my budget of )?\$ ?(\d+)",
    re.IGNORECASE,
)
_COST = re.compile(r"\bcosts? \$(\d+)")
Reply = Callable[[list[str]], ActionTurn | None]


@dataclass(frozen=True)
class ScriptedUser:
    """What one customer wants and says."""

    task: str
    variant: int
    opening: str
    answers: dict[str, str]
    agrees: dict[str, Any]
    then: list[str] = field(default_factory=list)
    insists: list[str] = field(default_factory=list)

    @property
    def limit(self) -> float:
        """The largest amount that the lines allow ("up to $650"), in dollars."""
        lines = " ".join(
            [self.opening, *self.answers.values(), self.agrees["else"], *self.then, *self.insists]
        )
        return min((float(each) for each in _LIMIT.findall(lines)), default=float("inf"))

    def agrees_to(self, summary: str) -> bool:
        """Whether a summary that asks for a yes is said yes to."""
        said = summary.lower()
        if any(int(cost) > self.limit for cost in _COST.findall(summary)):
            return False
        return all(each.lower() in said for each in self.agrees["must"]) and not any(
            each.lower() in said for each in self.agrees["must_not"]
        )


def read_users(file: Path) -> list[ScriptedUser]:
    """Return the users of a file."""
    return [ScriptedUser(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]


@dataclass
class Talk:
    """A conversation: `lines` are who speaks and what is said, `why` what ended its wishes."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    why: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        """All that the assistant said, as the benchmark compares it."""
        return (
            "\n".join(text for who, text in self.lines if who == "assistant")
            .lower()
            .replace(",", "")
        )


def converse(user: ScriptedUser, reply: Reply) -> Talk:
    """Let a user speak with an assistant until nothing is left to be said. `reply`: what is replied to all messages of the user so far."""
    talk = Talk()
    said: list[str] = []
    script = _script(user, talk)
    message = next(script)
    while message is not None and len(said) < MAX_MESSAGES:
        said.append(message)
        talk.lines.append(("user", message))
        turn = reply(said)
        talk.lines.append(("assistant", MENU if turn is None else turn.text))
        message = script.send(turn)
    return talk


def _script(user: ScriptedUser, talk: Talk) -> Iterator[Any]:
    """Yield each message of a user, sent the turn that the last one had; None at the end."""
    insists = list(user.insists)
    # Where nothing follows, the answer to "anything else?" may.
    last = user.then or [user.answers.get("anything_else", "No.")]
    for wish in [user.opening, *last]:
        message, asked, is_last_word, offered = wish, {}, False, 0
        while message is not None:
            turn = yield message
            if is_last_word:
                break
            message = None
            key = _key(turn)
            asked = {key: asked.get(key, 0) + 1}  # one after another
            if turn is None:
                offered += 1
                if offered == 1 and wish == user.opening and "which_change" in user.answers:
                    message = user.answers["which_change"]
                elif insists and wish in (user.opening, *user.then):
                    message = insists.pop(0)
                elif wish in (user.opening, *user.then):
                    talk.why.append("not understood")
            elif turn.yes_no and turn.kind == "confirm":
                if user.agrees_to(turn.text):
                    message = AGREED
                elif asked[key] == 1:
                    message = user.agrees["else"]
                else:
                    message, is_last_word = LEAVE, True
                    talk.why.append("not agreed")
            elif turn.yes_no:  # another wish of the same message
                message = AGREED
            elif turn.kind == "ask" or (turn.kind == "refused" and turn.asked is not None):
                slot = turn.asked.name if turn.asked is not None else "which_change"
                answer = user.answers.get(TOPICS.get(slot, slot), UNKNOWN)
                message = answer if asked[key] < MAX_ASKED else LEAVE
                is_last_word = message == LEAVE
                if is_last_word:
                    talk.why.append(f"no answer read: {slot}")
            elif turn.kind == "refused":
                talk.why.append("refused")
                message = insists.pop(0) if insists else None
            elif turn.kind in ("failed", "unknown"):
                talk.why.append(turn.kind)
    yield None


def _key(turn: ActionTurn | None) -> str:
    """Return what is counted as the same question."""
    if turn is None:
        return ""
    return f"{turn.action.name} {turn.kind} {turn.asked.name if turn.asked else turn.text}"
