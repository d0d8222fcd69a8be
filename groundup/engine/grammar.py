"""Constrained decoding (`structured_output.py`): masks of the allowed tokens, computed by the
library llguidance.

    grammars = Grammars(tokenizer, vocab_size)
    engine.submit(Request("a", ids, sampling, stop_ids,
        constraint=grammars.constraint(OutputConstraint.regex("[0-9]+"))))

The separators of JSON are exactly ", " and ": ", as Python writes them: with free spaces no
language would be finite, and a small model might generate them without end. Strings have at most
MAX_BLANKS blanks in a row, for the same reason. llguidance limits the size of a grammar and the
work for each token (`_LIMITS`); beyond that a request ends with an error.
"""

import re
from typing import Any

import numpy as np

from groundup.engine.structured_output import SPACING, OutputConstraint
from groundup.errors import ConfigError, MissingExtra, ModelError
from groundup.tokenizer.fast import Tokenizer

Mask = np.ndarray
"""bool [V]: the ids that may come next."""
# Limits on the cost of a grammar; measured with 20,000 to 40,000 ids. With llguidance's bounds for
# a token (2,000 and 50,000) a grammar of one line ("s: s s s | s s | ...") takes half a second a
# token, with these at most 0.07 s until it is refused. With its own bound for the start
# (1,000,000), rules that each expand to eight others take 2 s to be refused at depth four, and more
# than 6 s at depth five; with 20,000 the latter takes 6 ms, the worst found (three rules, depth
# eight) more than 4 s. A wide class (\w) still fits once, hardly twice. Schemas keep llguidance's
# own bounds: many optional keys branch as widely, but once.
_LIMITS: dict[str, dict[str, Any]] = {
    "grammar": {"max_items_in_row": 500, "step_max_items": 20_000, "initial_lexer_fuel": 20_000}
}
# Blanks in a row within JSON; more only where the constraint allows nothing else.
MAX_BLANKS = 32
_BLANKS_AT_END = re.compile(rb"(?: |\\[nrt])*\Z")
_LARK = re.compile(r"^[ \t]*(%llguidance\b|start[ \t]*(\[|:(?!:)))", re.MULTILINE)


class Grammars:
    """Compiles constraints for one model. The library first builds a tree of all tokens."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        """`vocab_size`: rows of the embedding, of which the tokenizer may have fewer. Raises
        MissingExtra.
        """
        try:
            import llguidance
        except ImportError as error:
            raise MissingExtra("llguidance", "serve") from error
        self._library = llguidance
        self._vocab_size = vocab_size
        tokens = _Tokens(tokenizer, vocab_size)
        wrapped = llguidance.TokenizerWrapper(tokens)
        stops = sorted(tokenizer.special.stop_ids)
        self._tokens = llguidance.LLTokenizer(wrapped, n_vocab=vocab_size, eos_token=stops)
        self._texts = tokens.tokens
        # A backslash may begin "\n".
        self._may_be_blank = np.array([text[:1] in (b" ", b"\\") for text in self._texts])

    def constraint(self, constraint: OutputConstraint) -> "GrammarConstraint":
        """For one answer. Raises ConfigError when it can't be enforced, or no text satisfies it."""
        limits = self._library.LLParserLimits(
            **_LIMITS.get(constraint.kind, {}), verbose_errors=False
        )
        matcher = self._library.LLMatcher(
            self._tokens, self._source(constraint), log_level=0, limits=limits
        )
        blanks = None
        if constraint.kind in ("JSON schema", "call of a tool"):
            blanks = _Blanks(self._texts, self._may_be_blank)
        compiled = GrammarConstraint(matcher, self._vocab_size, blanks)
        try:
            compiled.mask()  # shows whether any first token is allowed
        except ModelError as error:
            reason = _reason(matcher.get_error())
            if reason.startswith("NoExtension"):
                reason = "there is no text that fits it"
            raise ConfigError(f"The {constraint.kind} can't be followed: {reason}.") from error
        return compiled

    def _source(self, constraint: OutputConstraint) -> str:
        """In the library's format. Raises ConfigError."""
        matcher = self._library.LLMatcher
        try:
            if constraint.kind == "JSON schema":
                return str(matcher.grammar_from_json_schema(constraint.text, overrides=SPACING))
            if constraint.kind in ("grammar", "call of a tool"):
                return str(matcher.grammar_from_lark(_lark(constraint.text)))
            return str(matcher.grammar_from_regex(constraint.text))
        except ValueError as error:
            raise ConfigError(f"The {constraint.kind} can't be read: {_reason(error)}.") from error


def _lark(text: str) -> str:
    """The library converts GBNF. Raises ValueError."""
    if _LARK.search(text):
        return text
    if not re.search(r"^[ \t]*root\b", text, re.MULTILINE):
        raise ValueError("it has neither a rule start: (Lark) nor root ::= (GBNF)")
    if re.search(r"\\[uU]0", text):  # the library drops the zeros and then reads the wrong digits
        raise ValueError(
            r"in GBNF, write the character itself instead of \u0 or \U0 and its number"
        )
    from llguidance.gbnf_to_lark import gbnf_to_lark

    try:
        return gbnf_to_lark(text)
    except Exception as error:  # the library raises no narrower class
        raise ValueError(str(error)) from error


class _Tokens:
    """A tokenizer with the interface that llguidance requires."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = tokenizer.special.eos_id
        self.bos_token_id = tokenizer.special.bos_id
        self.tokens = [tokenizer.token_bytes(id) for id in range(vocab_size)]
        self.special_token_ids = sorted(tokenizer.special.tokens.values())

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, starts=False)


class _Blanks:
    """The blanks at the end of the answer."""

    def __init__(self, texts: list[bytes], may_be_blank: Mask) -> None:
        self._texts, self._may_be_blank = texts, may_be_blank
        self._end = b""

    def without(self, mask: Mask) -> Mask:
        """Without tokens that may begin with a blank, if the limit is reached and others are
        allowed.
        """
        found = _BLANKS_AT_END.search(self._end)
        if found is None or len(found[0].replace(b"\\", b"")) < MAX_BLANKS:
            return mask
        rest = mask & ~self._may_be_blank
        return rest if bool(rest.any()) else mask

    def accept(self, token_id: int) -> None:
        self._end = (self._end + self._texts[token_id])[-2 * MAX_BLANKS :]


class GrammarConstraint:
    """The `Constraint` of one answer."""

    def __init__(self, matcher: Any, vocab_size: int, blanks: _Blanks | None = None) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._blanks = blanks
        self._bits = np.zeros((1, -(-vocab_size // 32)), dtype=np.int32)

    @property
    def finished(self) -> bool:
        return bool(self._matcher.is_stopped())

    def mask(self) -> Mask:
        """Raises ModelError when the library's limits are exceeded."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._require_sound()
        unpacked = np.unpackbits(self._bits.view(np.uint8), bitorder="little")[: self._vocab_size]
        mask = unpacked.astype(bool)
        return mask if self._blanks is None else self._blanks.without(mask)

    def accept(self, token_id: int) -> None:
        """Raises ModelError."""
        self._matcher.consume_token(token_id)
        if self._blanks is not None:
            self._blanks.accept(token_id)
        self._require_sound()

    def _require_sound(self) -> None:
        if self._matcher.is_error():
            reason = _reason(self._matcher.get_error())
            raise ModelError(f"The constraint on the answer could not be enforced: {reason}.")


def _reason(error: object) -> str:
    """The line of the library's message that states the error."""
    lines = str(error).strip().splitlines() or ["no reason is known"]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines)[0].rstrip(".")[:300]
