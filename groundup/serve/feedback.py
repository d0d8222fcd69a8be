"""FeedbackRecorder: what readers say of replies, and the questions that found no answer, on their
way into the operator's file (`packs/feedback.py`). There is one only where the operator asks for it
(`groundup serve --feedback FILE`).

    a reply          -> keep(index, reply)          its number, by which it is rated; a refusal is
                                                    written, and a question beside an action to
                                                    which the documents hold no answer
    a reader's word  -> rate(number, rating, text)  written with the question and the reply

Clients name a reply by its number alone, so what is written as question and answer is what was
asked and said here. What tells of danger or self-harm is never kept, nor a handover, which repeats
a conversation. Of questions, comments, and replies with a person's own words, personal data is
masked; the quotations of documents stand as they are, a firm's telephone number too.

    masked("Mail jane@example.org about account 12345678")
    -> "Mail <email> about account <number>"

Masking is by the rules that web texts are cleaned with (`data/processing/personal_data.py`), which
are made to take no other number for a phone's; here a number too many is no loss, so every further
run of six and more digits is masked, too (account, customer and order numbers, sort codes), other
than dates, years and amounts with a currency. A pack adds shapes of its own, such as "AAA-9999" for
its customer numbers (`AssistantTexts.personal`). Names and addresses of places are not recognised.
"""

import asyncio
import logging
import re
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from groundup.data.processing import personal_data
from groundup.errors import GroundupError
from groundup.packs.feedback import REFUSAL, CitedDocument, FeedbackEvent, FeedbackFile
from groundup.retrieve.answer import Answer
from groundup.retrieve.assistant_reply import AssistantReply
from groundup.retrieve.scope import urgent
from groundup.serve.index_entries import passage_names
from groundup.serve.requests import RequestError

NUMBER, CODE = "<number>", "<code>"
_RUN = re.compile(r"(?<![\w£$€¥.,])\d(?:[ \u00a0-]?\d){5,}+(?![\w%€£¥])")
_DATE = re.compile(
    r"(?:19|20)\d\d[- ](?:0?[1-9]|1[0-2])[- ](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[- ](?:0?[1-9]|1[0-2])[- ](?:19|20)\d\d"
    r"|(?:19|20)\d\d[- ](?:19|20)\d\d"
)
# Replies that can still be rated: 12 MB at most.
REMEMBERED = 1024
MAX_QUESTION_CHARACTERS, MAX_ANSWER_CHARACTERS, MAX_TEXT_CHARACTERS = 2000, 8000, 2000
# What is written in a minute, of ratings and of refusals: so a script can't fill the disk, nor push
# the older lines out of the files within hours.
PER_MINUTE, MINUTE_S = 60, 60.0
# A reader may change a rating, or write more to it.
PER_REPLY = 5
NEVER_KEPT = ("emergency", "self_harm", "person")
# Replies of these hold no word of the person who asks.
_OF_DOCUMENTS = ("answer", REFUSAL, "small_talk")
log = logging.getLogger(__name__)


def masked(text: str, shapes: Sequence[str] = ()) -> str:
    """Return the text with a mark in place of each piece of personal data.

    >>> masked("Call 07700 900461 on 2026-12-04, sort code 12-34-56, for £100000")
    'Call <phone> on 2026-12-04, sort code <number>, for £100000'
    >>> masked("My booking is abc 123", ["AAA 999"])
    'My booking is <code>'
    """
    for shape in shapes:
        text = _of_shape(shape).sub(CODE, text)
    return _RUN.sub(_mark, personal_data.replace(text).text)


@lru_cache(maxsize=256)
def _of_shape(shape: str) -> re.Pattern[str]:
    parts = {"A": "[^\\W\\d_]", "9": r"\d"}
    return re.compile(
        rf"(?<!\w){''.join(parts.get(each) or re.escape(each) for each in shape)}(?!\w)"
    )


def _mark(run: re.Match[str]) -> str:
    return run[0] if _DATE.fullmatch(run[0]) else NUMBER


@dataclass
class _RatedReply:
    event: FeedbackEvent
    shapes: tuple[str, ...]
    written: int = 0


class RateLimit:
    """At most `count` events in each span of `seconds`."""

    def __init__(
        self, count: int, seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._times: deque[float] = deque(maxlen=count)
        self._seconds, self._now = seconds, now

    def admits(self) -> bool:
        """Whether one more may happen now, which then counts."""
        now = self._now()
        is_full = len(self._times) == self._times.maxlen
        if is_full and now - self._times[0] < self._seconds:
            return False
        self._times.append(now)
        return True


class FeedbackRecorder:
    """Writes feedback within limits. Its methods run in the event loop, writing in threads."""

    def __init__(self, file: FeedbackFile, per_minute: int = PER_MINUTE) -> None:
        """Raises DiskError where the file can't be written."""
        file.prepare()
        self.file = file
        self._replies: OrderedDict[str, _RatedReply] = OrderedDict()
        self._ratings = RateLimit(per_minute, MINUTE_S)
        self._refusals = RateLimit(per_minute, MINUTE_S)

    async def keep(self, index: str, reply: Answer, shapes: tuple[str, ...] = ()) -> str:
        """Return the number by which a reply can be rated, "" for none; what found no answer is
        written. What can't be written is logged: the reply goes on. `shapes`: see `masked`.
        """
        kind = kind_of(reply)
        if kind in NEVER_KEPT or urgent(reply.question):
            return ""
        event = event_of(index, reply, shapes)
        self._replies[event.reply] = _RatedReply(event, shapes)
        if len(self._replies) > REMEMBERED:
            self._replies.popitem(last=False)
        unanswered = _unanswered(event, reply, shapes)
        if unanswered is not None and self._refusals.admits():
            try:
                await asyncio.to_thread(self.file.append, unanswered)
            except (GroundupError, OSError) as error:
                log.error("a question without an answer could not be kept: %s", error)
        return event.reply

    async def rate(self, reply: str, rating: str, text: str) -> None:
        """Write what a reader says of a reply.

        Raises RequestError (404) for a reply that is not remembered, 429 beyond the limits, 503
        where the file can't be written.
        """
        rated = self._replies.get(reply)
        if rated is None:
            problem = "reply: there is no such reply, or it is too long ago"
            raise RequestError(problem, status=404, param="reply")
        if rated.written >= PER_REPLY:
            problem = f"reply: it was rated {PER_REPLY} times"
            raise RequestError(problem, status=429, param="reply")
        if not self._ratings.admits():
            raise RequestError("too many ratings at once: try again in a minute", status=429)
        rated.written += 1
        event = replace(
            rated.event, time=_now(), rating=rating, text=masked(text.strip(), rated.shapes)
        )
        try:
            await asyncio.to_thread(self.file.append, event)
        except (GroundupError, OSError) as error:
            log.error("a rating could not be kept: %s", error)
            raise RequestError("the rating could not be kept", status=503) from error


def kind_of(reply: Answer) -> str:
    """Return the kind of a reply; without an assistant whether documents answer."""
    if isinstance(reply, AssistantReply):
        return reply.kind
    if reply.found:
        return "answer"
    return "small_talk" if reply.refusal.is_small_talk else REFUSAL


def event_of(index: str, reply: Answer, shapes: tuple[str, ...] = ()) -> FeedbackEvent:
    """Return a reply as it is kept, with a new number, personal data masked."""
    kind, answer = kind_of(reply), reply.text[:MAX_ANSWER_CHARACTERS]
    if kind not in _OF_DOCUMENTS or reply.sentences:
        answer = masked(answer, shapes)
    names = [passage_names(reply.sources[number - 1]) for number in reply.cited]
    sources = [CitedDocument(each.document, each.title) for each in names]
    question = masked(reply.question[-MAX_QUESTION_CHARACTERS:], shapes)
    return FeedbackEvent(
        _now(), secrets.token_hex(8), index, kind, question, answer, tuple(sources)
    )


def _unanswered(
    event: FeedbackEvent, reply: Answer, shapes: tuple[str, ...]
) -> FeedbackEvent | None:
    """Return what of a reply found no answer: all of a refusal; beside an action the question
    alone, with a number of its own, since the reply may be rated for the action; None: nothing.
    """
    if event.kind == REFUSAL:
        return event
    if not isinstance(reply, AssistantReply) or not reply.unanswered:
        return None
    question = masked(reply.unanswered[-MAX_QUESTION_CHARACTERS:], shapes)
    number, answer = secrets.token_hex(8), reply.opening[0]
    return FeedbackEvent(event.time, number, event.index, REFUSAL, question, answer)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
