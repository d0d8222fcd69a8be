"""ToolCallParser: the text of an answer as it grows -> the visible text, and the tool calls in it.

Text that could begin a call is held back. What turns out not to be a call, or is incomplete when
the answer ends, is returned unchanged. Only calls, white space before them and after the last one
are removed.

    text "It rains."    held "\\n<tool_ca"            pushed "ll>\\n{"name": "umbrella",
                                                      "arguments": {}}\\n</tool_call>"

The work is linear in the length of the text.
"""

from collections.abc import Collection
from dataclasses import dataclass

from groundup.engine.stream import longest_beginning
from groundup.tokenizer.tools import FENCE, MAX_DEPTH, CallFormat, ToolCall, read_calls


@dataclass(frozen=True)
class SplitText:
    text: str = ""
    calls: tuple[ToolCall, ...] = ()


class ToolCallParser:
    """`push` every piece, then `finish`."""

    def __init__(self, format: CallFormat, names: Collection[str]) -> None:
        """`names`: of the tools. Without marks of its format, JSON is a call only if it names one
        of them.
        """
        self._format, self._names = format, frozenset(names)
        self._between = None if format.opening else _BETWEEN  # an argument of str.strip
        self._held = ""
        self._call: _Call | None = None  # the call at the start of `_held`
        self._mark = ""  # the text that opened it
        self._called = False  # whether no text has followed the last call
        self._may_call = True

    def push(self, text: str) -> SplitText:
        self._held += text
        text_parts: list[str] = []
        calls: list[ToolCall] = []
        while self._held:
            before = self._held
            if self._call is None:
                text_parts.append(self._take_text())
            if self._call is not None:
                calls += self._take_call(text_parts)
            if self._held == before:
                break
        return SplitText("".join(text_parts), tuple(calls))

    def finish(self) -> SplitText:
        """What is still held back."""
        rest, self._held = self._held, ""
        if self._called and not rest.strip(self._between):
            rest = ""
        return SplitText(rest)

    def _take_text(self) -> str:
        """What is certainly text, up to where a call begins or may begin."""
        start, after = self._opening()
        kept = len(self._held[:start].rstrip())
        text, self._held = self._held[:kept], self._held[kept:]
        self._called = self._called and not text
        if after is not None:
            self._call = _Call(after - kept)
        return text

    def _opening(self) -> tuple[int, int | None]:
        """The start of the next call and the end of its opening mark; without a call, where one may
        begin, and None.
        """
        text, marks = self._held, list(self._format.closings)
        found = [(text.index(mark), mark) for mark in marks if mark in text]
        if found:
            start, self._mark = min(found)
            return start, start + len(self._mark)
        if marks:
            return len(text) - longest_beginning(text, marks), None
        first = len(text) - len(text.lstrip(self._between if self._called else None))
        if first == len(text) and self._may_call:
            return 0, None
        self._may_call = self._may_call and text[first] in "{["
        if self._may_call:
            return 0, first
        return len(text), None

    def _take_call(self, text_parts: list[str]) -> tuple[ToolCall, ...]:
        """The call at the start of the held text once it is complete; moved to the text if it is
        not a call.
        """
        assert self._call is not None
        end = self._call.end(self._held, self._format.closings.get(self._mark, ""))
        if end is None:
            return ()
        calls = self._read_calls(self._call)
        if calls is None:
            text_parts.append(self._held[:end])
            self._may_call = False
        self._called = calls is not None
        self._held, self._call = self._held[end:], None
        return calls or ()

    def _read_calls(self, call: "_Call") -> tuple[ToolCall, ...] | None:
        """None where it is not a call of a known tool."""
        if not call.whole:
            return None
        calls = read_calls(call.json(self._held))
        is_marked = self._mark != "" and self._mark not in FENCE
        if calls is None or is_marked:
            return calls
        if all(call.name in self._names for call in calls):
            return calls
        return None


# What models of the format without marks write between two calls, besides white space.
_BETWEEN = "; \t\r\n"


class _Call:
    """White space, its JSON, white space, the closing mark."""

    def __init__(self, start: int) -> None:
        self._place = start
        self._json = (start, start)
        self._depth = 0
        self._in_text = self._escaped = False
        self._json_read = self._too_deep = False
        self.whole = False

    def json(self, text: str) -> str:
        return text[slice(*self._json)]

    def end(self, text: str, closing: str) -> int | None:
        """Where the call ends or proves not to be one; None: more text is needed. `text` only
        grows.
        """
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
        """Up to the bracket that closes the first one; whether it is valid JSON is checked
        later.
        """
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
