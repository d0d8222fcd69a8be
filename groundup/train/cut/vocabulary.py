"""An own vocabulary in terms of another tokenizer: the other's tokens that the text of each own
token splits into. The mean of their vectors is the own token's first vector, as of words that are
added to a trained model (Hewitt 2021; Gee et al. 2022, "Fast Vocabulary Transfer").
"""

from groundup.errors import ConfigError
from groundup.tokenizer.fast import Tokenizer

Pieces = list[list[int]]
"""For each own id at least one id of the other tokenizer."""


def token_pieces(own: Tokenizer, other: Tokenizer) -> Pieces:
    """Control tokens are those of the same text, else the end of a document. Raises ConfigError
    where no token of more than one byte is a token of the other.

    >>> token_pieces(tokenizer, tokenizer)[:3]
    [[0], [1], [2]]
    """
    control, other_control = (set(each.special.tokens.values()) for each in (own, other))
    known = {other.token_bytes(id): id for id in range(other.vocab_size) if id not in other_control}
    found = []
    for id in range(own.vocab_size):
        text, end = own.token_bytes(id), other.special.document_end_id
        if id in control:
            found.append([other.special.tokens.get(text.decode(), end)])
        else:
            found.append(_split(text, known, other) or [end])
    _require_overlap(own, known, control)
    return found


def _split(text: bytes, known: dict[bytes, int], other: Tokenizer) -> list[int]:
    """The token of these bytes, else what the other tokenizer makes of the text; of bytes that are
    no text their single tokens.
    """
    if text in known:
        return [known[text]]
    try:
        return other.encode(text.decode(), starts=False)
    except UnicodeDecodeError:
        bytes_known = (text[at : at + 1] for at in range(len(text)))
        return [known[each] for each in bytes_known if each in known]


def _require_overlap(own: Tokenizer, known: dict[bytes, int], control: set[int]) -> None:
    longer = [
        text
        for id in range(own.vocab_size)
        if id not in control and len(text := own.token_bytes(id)) > 1
    ]
    if not any(text in known for text in longer):
        raise ConfigError(
            f"Of the {len(longer):,} tokens of more than one byte in this vocabulary none is a "
            "token of the model that is cut: there are no vectors to begin with.",
            fix="Choose a larger vocabulary (model.vocab_size), another model, or random weights.",
        )
