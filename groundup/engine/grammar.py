"""Answers that must have a form (`structured_output.py`): which tokens may come next, through the library llguidance.

    grammars = Grammars(tokenizer, vocab_size)
    engine.submit(Request("a", ids, sampling, stop_ids, constraint=grammars.constraint(Form.regex("[0-9]+"))))

Between the parts of JSON stands exactly ", " and ": ", as Python writes it. With free spaces no language would be finite, and a small model
would go on writing them; so an answer whose form allows only so many texts ends by itself. Inside the strings of JSON at most MOST_BLANKS may follow
one another, for the same reason. Seed, temperature and the rest hold among the tokens that are allowed. llguidance bounds the size of a form and the
work for each token (`_LIMITS`); past that a request ends with an error.
"""

import re
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from groundup.engine.structured_output import OutputConstraint
from groundup.errors import ConfigError, MissingExtra, ModelError
from groundup.tokenizer.fast import Tokenizer

SPACING: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
# What a grammar may cost; measured with 20,000 to 40,000 ids. With llguidance's own bounds for a token (2,000 and 50,000) a grammar of one line
# ("s: s s s | s s | ...") takes half a second a token, with these at most 0.07 s before it is given up. With its own for the start (1,000,000) a
# tower of names that stand for eight others each takes 2 s to be refused when it is four high, and was not done after 6 s when five high; with
# 20,000 the latter takes 6 ms, the worst found (three names, eight high) more than 4 s. A wide class (\w) still has room once, hardly twice.
# Schemas keep llguidance's own: many optional keys branch as widely, but once.
_LIMITS: dict[str, dict[str, Any]] = {
    "grammar": {"max_items_in_row": 500, "step_max_items": 20_000, "initial_lexer_fuel": 20_000}
}
# Blanks in a row within JSON; more only where the form allows nothing else.
MAX_BLANKS = 32
_BLANKS_AT_END = re.compile(rb"(?: |\\[nrt])*\Z")
_LARK = re.compile(r"^[ \t]*(%llguidance\b|start[ \t]*(\[|:(?!:)))", re.MULTILINE)


class Grammars:
    """Makes constraints for one model. Making the first one takes a moment: the library arranges all tokens as a tree."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        """`vocab_size`: rows of the embedding, of which the tokenizer may have fewer. Raises MissingExtra."""
        try:
            import llguidance
        except ImportError as error:
            raise MissingExtra("llguidance", "serve") from error
        self._library = llguidance
        self._vocab_size = vocab_size
        known = _Tokens(tokenizer, vocab_size)
        wrapped = llguidance.TokenizerWrapper(known)
        stops = sorted(tokenizer.special.stop_ids)
        self._tokens = llguidance.LLTokenizer(wrapped, n_vocab=vocab_size, eos_token=stops)
        self._texts = known.tokens
        # A backslash may begin "\n".
        self._may_be_blank = torch.tensor([text[:1] in (b" ", b"\\") for text in self._texts])

    def constraint(self, form: OutputConstraint) -> "GrammarConstraint":
        """For one answer of this form. Raises ConfigError for a form that can't be followed, or that no text has."""
        limits = self._library.LLParserLimits(**_LIMITS.get(form.kind, {}), verbose_errors=False)
        matcher = self._library.LLMatcher(self._tokens, self._source(form), log_level=0, limits=limits)
        is_json = form.kind in ("JSON schema", "call of a tool")
        made = GrammarConstraint(
            matcher, self._vocab_size, _Blanks(self._texts, self._may_be_blank) if is_json else None
        )
        try:
            made.mask()  # that there is no way to begin shows only here
        except ModelError as error:
            told = _reason(matcher.get_error())
            reason = "there is no text that fits it" if told.startswith("NoExtension") else told
            raise ConfigError(f"The {form.kind} can't be followed: {reason}.") from error
        return made

    def _source(self, form: OutputConstraint) -> str:
        """The form as the library takes it. Raises ConfigError."""
        of = self._library.LLMatcher
        try:
            if form.kind == "JSON schema":
                return str(of.grammar_from_json_schema(form.text, overrides=SPACING))
            if form.kind in ("grammar", "call of a tool"):
                return str(of.grammar_from_lark(_lark(form.text)))
            return str(of.grammar_from_regex(form.text))
        except ValueError as error:
            raise ConfigError(f"The {form.kind} can't be read: {_reason(error)}.") from error


def _lark(text: str) -> str:
    """A grammar in llguidance's own language; one in GBNF is put into it, by the library. Raises ValueError."""
    if _LARK.search(text):
        return text
    if not re.search(r"^[ \t]*root\b", text, re.MULTILINE):
        raise ValueError("it has neither a rule start: (Lark) nor root ::= (GBNF)")
    if re.search(r"\\[uU]0", text):  # the library drops the zeros, and then reads the wrong digits
        raise ValueError(r"in GBNF the character itself is wanted, instead of \u0 or \U0 and its number")
    from llguidance.gbnf_to_lark import gbnf_to_lark

    try:
        return gbnf_to_lark(text)
    except Exception as error:  # the library raises nothing more precise
        raise ValueError(str(error)) from error


class _Tokens:
    """A tokenizer as llguidance wants one."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = tokenizer.special.eos_id
        self.bos_token_id = tokenizer.special.bos_id
        self.tokens = [tokenizer.token_bytes(id) for id in range(vocab_size)]
        self.special_token_ids = sorted(tokenizer.special.tokens.values())

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, starts=False)


class _Blanks:
    """How many blanks the answer ends with, and which tokens may not add to them."""

    def __init__(self, texts: list[bytes], may_be_blank: Bool[Tensor, " V"]) -> None:
        self._texts, self._may_be_blank = texts, may_be_blank
        self._end = b""

    def without(self, mask: Bool[Tensor, " V"]) -> Bool[Tensor, " V"]:
        """The mask without tokens that may begin with a blank, where there are enough and there are others."""
        found = _BLANKS_AT_END.search(self._end)
        if found is None or len(found[0].replace(b"\\", b"")) < MAX_BLANKS:
            return mask
        rest = mask & ~self._may_be_blank
        return rest if bool(rest.any()) else mask

    def accept(self, token_id: int) -> None:
        self._end = (self._end + self._texts[token_id])[-2 * MAX_BLANKS :]


class GrammarConstraint:
    """`engine.request.Constraint` of one answer."""

    def __init__(self, matcher: Any, vocab_size: int, blanks: _Blanks | None = None) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._blanks = blanks
        self._bits = np.zeros((1, -(-vocab_size // 32)), dtype=np.int32)

    @property
    def finished(self) -> bool:
        """Whether nothing but an end may follow."""
        return bool(self._matcher.is_stopped())

    def mask(self) -> Bool[Tensor, " V"]:
        """True for each id that may come next. Raises ModelError when the library's bounds were passed."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._require_sound()
        unpacked = np.unpackbits(self._bits.view(np.uint8), bitorder="little")[: self._vocab_size]
        mask = torch.from_numpy(unpacked.astype(bool))
        return mask if self._blanks is None else self._blanks.without(mask)

    def accept(self, token_id: int) -> None:
        """This id was chosen. Raises ModelError."""
        self._matcher.consume_token(token_id)
        if self._blanks is not None:
            self._blanks.accept(token_id)
        self._require_sound()

    def _require_sound(self) -> None:
        if self._matcher.is_error():
            raise ModelError(f"The answer could not be kept to its form: {_reason(self._matcher.get_error())}.")


def _reason(error: object) -> str:
    """The line that says what is wrong: the one that says so, where expressions are drawn with a mark below them; else the first."""
    lines = str(error).strip().splitlines() or ["no reason is known"]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines)[0].rstrip(".")[:300]
