"""Answers that must be JSON, or fit a JSON schema: which tokens may come next, through the library llguidance.

    grammars = Grammars(tokenizer, vocab_size)
    engine.submit(Request("a", ids, sampling, stop_ids, constraint=grammars.schema({"type": "object", ...})))

Between the parts of the JSON stands exactly ", " and ": ", as Python writes it. With free spaces no language would be finite, and a small model
would go on writing them; so an answer whose schema allows only so many texts ends by itself. Seed, temperature and the rest hold among the tokens
that are allowed. llguidance bounds the size of a grammar and the work for each token; past that a request ends with an error.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from groundup.errors import ConfigError, MissingExtra, ModelError
from groundup.tokenizer.fast import Tokenizer

ANY_OBJECT = {"type": "object"}
SPACING: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


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
        wrapped = llguidance.TokenizerWrapper(_Tokens(tokenizer, vocab_size))
        stops = sorted(tokenizer.special.stop_ids)
        self._tokens = llguidance.LLTokenizer(wrapped, n_vocab=vocab_size, eos_token=stops)

    def schema(self, schema: Mapping[str, Any]) -> "GrammarConstraint":
        """For one answer that fits `schema`. Raises ConfigError for a schema that can't be followed."""
        try:
            grammar = self._library.LLMatcher.grammar_from_json_schema(dict(schema), overrides=SPACING)
        except ValueError as error:
            raise ConfigError(f"The JSON schema can't be read: {_first_line(error)}.") from error
        return self._constraint(grammar, "JSON schema")

    def calls(self, grammar: str) -> "GrammarConstraint":
        """For one answer with calls of tools, as `call_grammar` wrote it. Raises ConfigError for a tool's schema that can't be followed."""
        return self._constraint(grammar, "JSON schema of a tool")

    def _constraint(self, grammar: str, what: str) -> "GrammarConstraint":
        matcher = self._library.LLMatcher(self._tokens, grammar, log_level=0)
        if matcher.is_error():
            raise ConfigError(f"The {what} can't be followed: {_first_line(matcher.get_error())}.")
        return GrammarConstraint(matcher, self._vocab_size)


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


class GrammarConstraint:
    """`engine.request.Constraint` of one answer."""

    def __init__(self, matcher: Any, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
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
        return torch.from_numpy(unpacked.astype(bool))

    def accept(self, token_id: int) -> None:
        """This id was chosen. Raises ModelError."""
        self._matcher.consume_token(token_id)
        self._require_sound()

    def _require_sound(self) -> None:
        if self._matcher.is_error():
            raise ModelError(f"The answer could not be kept to its form: {_first_line(self._matcher.get_error())}.")


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or ["no reason is known"])[0].rstrip(".")[:300]


def as_schema(wanted: object) -> Mapping[str, Any]:
    """The schema of a request's format: "json" is any object."""
    return wanted if isinstance(wanted, Mapping) else ANY_OBJECT
