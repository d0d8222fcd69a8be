"""SentencePiece's scores <-> merges: two ways to say which neighbours are joined first.

A GGUF file gives every token a score and no merges: llama.cpp joins whichever neighbours make the token of the highest score, and of
equals the leftmost. The `tokenizers` library has a list of merges and joins the earliest in it. So the merges of a token are
all its cuts into two tokens, and the tokens go by falling score.

    scores:  in -1, ing -5      ->  merges: i n, in g   (and, were "ng" a token, i ng)

Where the neighbours a, b, c could join to one and the same token on either side (ab = bc: runs as "▁▁▁", "----"), llama.cpp takes the left pair and
`tokenizers` the earlier merge. No text showed a difference: of 40,000 over random vocabularies of one and two letters, and of 20,000, made of such
runs, over the vocabularies of Llama 2 and of Gemma each.

From: src/llama-vocab.cpp (the SPM tokenizer). `join_by_score` says it plainly and is the test of the fast way.
"""

from collections.abc import Container, Iterator, Mapping, Sequence

from groundup.tokenizer.spec import Merge


def join_by_score(text: str, scores: Mapping[str, float]) -> list[str]:
    """The pieces of `text` (spaces written "▁"): of the neighbours that make a token, always those of the highest score, the leftmost first.

    >>> join_by_score("nning", {"in": -1.0, "nn": -2.0, "ing": -5.0})
    ['n', 'n', 'ing']
    """
    pieces = list(text)
    while known := [at for at in range(len(pieces) - 1) if pieces[at] + pieces[at + 1] in scores]:
        at = max(known, key=lambda at: (scores[pieces[at] + pieces[at + 1]], -at))
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


def merges_of(scores: Mapping[str, float]) -> list[Merge]:
    """The merges that join as `scores` do: every cut of a token into two, by falling score of the token."""
    ranked = sorted(scores, key=lambda token: -scores[token])  # sorted keeps the order of equals
    return [cut for token in ranked for cut in cuts(token, scores)]


def cuts(token: str, tokens: Container[str]) -> Iterator[Merge]:
    """The ways to part `token` into two others, the longest first half first."""
    for place in range(len(token) - 1, 0, -1):
        if token[:place] in tokens and token[place:] in tokens:
            yield token[:place], token[place:]


def made_of_unknown(tokens: Mapping[str, object]) -> str | None:
    """A token that llama.cpp could join out of a character that is no token; `tokenizers` spells such a character in bytes first."""
    unknown = {character for token in tokens for character in token} - tokens.keys()
    suspects = [token for token in tokens if not unknown.isdisjoint(token)] if unknown else []
    known = tokens.keys() | unknown
    return next((token for token in suspects for _ in cuts(token, known)), None)


def scores_of(merges: Sequence[Merge]) -> dict[str, float]:
    """Scores that join as `merges` do, for the tokens that these make: 0, -1, -2, ... in their order."""
    made = dict.fromkeys(left + right for left, right in merges)
    return {token: -float(rank) for rank, token in enumerate(made)}


def unsayable(merges: Sequence[Merge], tokens: Mapping[str, object]) -> str | None:
    """Why no scores say what `merges` do, None where they do. `tokens`: the ordinary ones, which llama.cpp joins wherever it can."""
    made = [left + right for left, right in merges]
    begun = [token for at, token in enumerate(made) if at == 0 or made[at - 1] != token]
    if len(set(begun)) != len(begun):
        return f"{len(begun) - len(set(begun))} tokens are made by merges with those of other tokens between them"
    known = set(merges)
    missing = [cut for token in tokens for cut in cuts(token, tokens) if cut not in known]
    if missing:
        left, right = missing[0]
        return f"{len(missing)} pairs make a token by no merge, the first {left!r} and {right!r}"
    return None
