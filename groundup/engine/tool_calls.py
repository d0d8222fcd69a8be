"""CallSplitter: the text of an answer as it grows -> what is said to the reader, and the calls of tools in it.

A call's text is never said, whatever the pieces: text that could be the beginning of a call waits for what follows. What turns out to be none, or
is not whole when the answer ends, is given back as text, to the letter. Left out are only calls, the spaces before them, and those after the last.

    said "It rains."    waiting "\\n<tool_ca"         pushed "ll>\\n{"name": "umbrella", "arguments": {}}\\n</tool_call>"

Work grows with the length of the text: no character is read again, but for the few that wait before a call.
"""

from collections.abc import Collection
from dataclasses import dataclass

from groundup.engine.stream import longest_beginning
from groundup.tokenizer.tools import MAX_DEPTH, CallFormat, ToolCall, read_calls


@dataclass(frozen=True)
class SplitText:
    """What a piece of text brought to light."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()


class ToolCallParser:
    """One answer: `push` every piece, then `finish`."""

    def __init__(self, format: CallFormat, names: Collection[str]) -> None:
        """`names`: those of the tools. Where a call has no marks around it, only these make JSON a call."""
        self._format, self._names = format, frozenset(names)
        self._between = None if format.opening else _BETWEEN  # as str.strip takes it
        self._held = ""
        self._call: _Call | None = None  # the one that `_held` begins with
        self._called = False  # whether nothing has been said since a call
        self._may_call = True

    def push(self, text: str) -> SplitText:
        """What this piece makes final."""
        self._held += text
        said: list[str] = []
        calls: list[ToolCall] = []
        while self._held:
            before = self._held
            if self._call is None:
                said.append(self._say())
            if self._call is not None:
                calls += self._read(said)
            if self._held == before:
                break
        return SplitText("".join(said), tuple(calls))

    def finish(self) -> SplitText:
        """What was still held back, when the answer has ended."""
        rest, self._held = self._held, ""
        return SplitText("" if self._called and not rest.strip(self._between) else rest)

    def _say(self) -> str:
        """Take away what is certainly text, up to where a call begins or may begin."""
        start, after = self._opening()
        kept = len(self._held[:start].rstrip())
        said, self._held = self._held[:kept], self._held[kept:]
        self._called = self._called and not said
        if after is not None:
            self._call = _Call(after - kept)
        return said

    def _opening(self) -> tuple[int, int | None]:
        """Where the next call begins in what is held, and the place after its opening; without one, where it may begin yet, and None."""
        text, mark = self._held, self._format.opening
        if mark:
            start = text.find(mark)
            return (start, start + len(mark)) if start >= 0 else (len(text) - longest_beginning(text, [mark]), None)
        first = len(text) - len(text.lstrip(self._between if self._called else None))
        if self._may_call and first < len(text):
            self._may_call = text[first] in "{["
        return (0, first if first < len(text) else None) if self._may_call else (len(text), None)

    def _read(self, said: list[str]) -> tuple[ToolCall, ...]:
        """Take away the call that what is held begins with, once it is whole; text, once it is clear that it is none."""
        assert self._call is not None
        end = self._call.end(self._held, self._format.closing)
        if end is None:
            return ()
        calls = self._known(read_calls(self._call.json(self._held))) if self._call.whole else None
        if calls is None:
            said.append(self._held[:end])
            self._may_call = False
        self._called = calls is not None
        self._held, self._call = self._held[end:], None
        return calls or ()

    def _known(self, calls: tuple[ToolCall, ...] | None) -> tuple[ToolCall, ...] | None:
        bare = not self._format.opening
        return None if calls is None or (bare and not all(call.name in self._names for call in calls)) else calls


# What models of the format without marks put between two calls, beside spaces.
_BETWEEN = "; \t\r\n"


class _Call:
    """The place in a text up to which a call has been read: spaces, its JSON, spaces, the closing mark."""

    def __init__(self, start: int) -> None:
        self._place = start
        self._json = (start, start)
        self._depth = 0
        self._in_text = self._escaped = False
        self._json_read = self._too_deep = False
        self.whole = False
        """Whether all of it was there."""

    def json(self, text: str) -> str:
        """Its JSON, once that was read."""
        return text[slice(*self._json)]

    def end(self, text: str, closing: str) -> int | None:
        """The place in `text` where the call is over or turned out to be none; None: more is to come. `text` only grows."""
        if not self._json_read:
            if not self._depth:
                self._skip_spaces(text)
                if self._place < len(text) and text[self._place] not in "{[":
                    return self._place
                self._json = (self._place, self._place)
            self._read_json(text)
            if not self._json_read:
                return None
        if closing:
            self._skip_spaces(text)
        rest = text[self._place : self._place + len(closing)]
        if rest == closing:
            self.whole = not self._too_deep
            return self._place + len(closing)
        return None if closing.startswith(rest) else self._place

    def _skip_spaces(self, text: str) -> None:
        while self._place < len(text) and text[self._place].isspace():
            self._place += 1

    def _read_json(self, text: str) -> None:
        """Up to the bracket that closes the first one. Whether it is JSON is seen afterwards."""
        while self._place < len(text) and not self._json_read:
            self._take(text[self._place])
            self._place += 1
        self._json = (self._json[0], self._place)

    def _take(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_text:
            self._escaped, self._in_text = character == "\\", character != '"'
        elif character == '"':
            self._in_text = True
        elif character in "{[":
            self._depth += 1
            self._too_deep = self._too_deep or self._depth > MAX_DEPTH
        elif character in "]}":
            self._depth -= 1
            self._json_read = self._depth == 0
