"""The nearest neighbours of a word in the embedding table, and the share of neighbours of the same
category (days, countries, ...).

Every token of the vocabulary is a candidate. The table contains many spellings of one word
("Monday", " monday", " MONDAY"), which are each other's nearest neighbours: so of each word only
the nearest spelling counts, and none of the query word, nor of its tokens where it has several. A
small vocabulary may contain few of the words of a category as single tokens; the score says how
many
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.errors import DataError
from groundup.lab.embeddings import word_ids, word_vectors
from groundup.lab.stream import require_tokenizer
from groundup.lab.tokens import pieces_of, token_text
from groundup.lab.values import (
    CategoryScore,
    CategoryScores,
    KindScore,
    WordNeighbour,
    WordNeighbours,
)
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

# Nearest rows examined first, for each neighbour wanted.
LOOKED_AT = 40
CAPTION = (
    "Cosine with every row of the embedding table; of each word the nearest spelling only, "
    "without the query words and their tokens."
)
# Neighbours counted for each word; fewer where its category has fewer other words.
JUDGED = 5
# Fewest words of a category, or its share would be noise.
MIN_WORDS = 3
# A share of neighbours of the same category from which on the view shows something.
FEW_OF_A_KIND = 0.2
KINDS_CAPTION = (
    "The nearest neighbours of each word by cosine, as many as its category has other words, "
    "{judged} at most: the share of the same category. Chance: random neighbours. Left: words "
    "that are one token, among all words of the vocabulary. Right: all words, among the listed "
    "ones only, with the mean of their tokens (words that share a token are near for that reason "
    "alone)."
)

# Full names as in running English text; without abbreviations and inhabitants, so that "Mon" or
# "French" among the neighbours is a miss. Countries: members of the United Nations whose name is
# one common word. Words with a second meaning (May, Turkey) stay.
_LISTS = {
    "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "months": "January February March April May June July August September October November December",
    "numbers": (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty "
        "ninety hundred thousand million billion"
    ),
    "countries": (
        "Afghanistan Albania Algeria Angola Argentina Armenia Australia Austria Azerbaijan "
        "Bahrain Bangladesh Belarus Belgium Bolivia Botswana Brazil Bulgaria Cambodia Cameroon "
        "Canada Chile China Colombia Croatia Cuba Cyprus Denmark Ecuador Egypt Estonia Ethiopia "
        "Finland France Georgia Germany Ghana Greece Guatemala Haiti Honduras Hungary Iceland "
        "India Indonesia Iran Iraq Ireland Israel Italy Jamaica Japan Jordan Kazakhstan Kenya "
        "Kuwait Laos Latvia Lebanon Liberia Libya Lithuania Madagascar Malaysia Mali Malta Mexico "
        "Mongolia Morocco Mozambique Myanmar Namibia Nepal Netherlands Nicaragua Nigeria Norway "
        "Oman Pakistan Panama Paraguay Peru Philippines Poland Portugal Qatar Romania Russia "
        "Rwanda Senegal Serbia Singapore Slovakia Slovenia Somalia Spain Sudan Sweden Switzerland "
        "Syria Tanzania Thailand Tunisia Turkey Uganda Ukraine Uruguay Uzbekistan Venezuela "
        "Vietnam Yemen Zambia Zimbabwe"
    ),
}

KINDS: Mapping[str, tuple[str, ...]] = {
    kind: tuple(words.split()) for kind, words in _LISTS.items()
}


@dataclass(frozen=True)
class Candidates:
    """The words that may be neighbours, each with its vector."""

    words: Sequence[str]
    """Without spaces and in lower case; a word occurs once for each of its spellings."""
    unit: Float[Tensor, "n C"]
    """The vectors at length one."""

    @cached_property
    def num_words(self) -> int:
        return len(set(self.words))

    def nearest(
        self, vector: Float[Tensor, " C"], count: int, without: Sequence[str]
    ) -> list[tuple[int, float]]:
        """The `count` nearest different words except `without`: (index of the nearest spelling,
        cosine).
        """
        cosine = self.unit @ F.normalize(vector, dim=-1)
        # Sorting all of them for a few takes most of the time, and a few usually suffice.
        found = self._different(cosine, min(LOOKED_AT * count, len(cosine)), count, without)
        if len(found) < count:
            return self._different(cosine, len(cosine), count, without)
        return found

    def _different(
        self, cosine: Float[Tensor, " n"], size: int, count: int, without: Sequence[str]
    ) -> list[tuple[int, float]]:
        """Search the `size` nearest spellings."""
        passed = {spelling(word) for word in without}
        found: list[tuple[int, float]] = []
        for place in cosine.topk(size).indices.tolist():
            if len(found) < count and self.words[place] not in passed:
                passed.add(self.words[place])
                found.append((place, float(cosine[place])))
        return found


def table_candidates(model: Model, tokenizer: Tokenizer) -> tuple[Candidates, list[int]]:
    """All tokens except control tokens, rows without a token and tokens of spaces only; and
    their ids.
    """
    control = set(tokenizer.special.tokens.values())
    words = {
        id: spelling(token_text(tokenizer, id))
        for id in range(tokenizer.vocab_size)
        if id not in control
    }
    ids = [id for id, word in words.items() if word]
    table = model.transformer.embedding.weight.detach()[torch.tensor(ids)].float().cpu()
    return Candidates([words[id] for id in ids], F.normalize(table, dim=-1)), ids


def spelling(text: str) -> str:
    """Without spaces and in lower case."""
    return text.strip().casefold()


def neighbours(
    model: Model, tokenizer: Tokenizer | None, word: str, *, count: int = 10
) -> WordNeighbours:
    """The words nearest to one in the embedding table, without itself and its tokens ("pieces").

    Raises DataError, ModelError.
    """
    if count < 1:
        raise DataError(f"At least 1 neighbour can be shown, got {count}.", fix="Give count=10.")
    tokenizer = require_tokenizer(tokenizer)
    (vector,) = word_vectors(model, tokenizer, [word])
    pieces = pieces_of(tokenizer, word_ids(tokenizer, word))
    texts = [piece["text"] for piece in pieces]
    candidates, ids = table_candidates(model, tokenizer)
    found: list[WordNeighbour] = [
        {"id": ids[place], "text": token_text(tokenizer, ids[place]), "cosine": round(cosine, 4)}
        for place, cosine in candidates.nearest(vector, count, [word, *texts])
    ]
    caption = CAPTION
    if len(texts) > 1:
        split = " and ".join(map(repr, texts))
        caption += f" The vector of a word of several tokens is their mean: {word} is {split}."
    return {"word": word, "pieces": pieces, "neighbours": found, "caption": caption}


def longest_word_neighbours(model: Model, tokenizer: Tokenizer, text: str) -> WordNeighbours:
    """The neighbours of the longest word of a text that is one token, or of its longest word.
    Raises DataError, ModelError.
    """
    words = [word.strip(".,;:!?\"'()[]") for word in text.split()]
    whole = [word for word in words if len(word_ids(tokenizer, word)) == 1]
    return neighbours(model, tokenizer, max(whole or words, key=len, default=""))


def kind_score(
    model: Model, tokenizer: Tokenizer | None, kinds: Mapping[str, Sequence[str]] = KINDS
) -> KindScore:
    """The share of neighbours of a word's own category, for each category and on average, and the
    share by chance: among all words of the vocabulary, and among the listed ones only.

    "share" is None where a category has fewer than three words that count. Raises DataError (fewer
    than two categories), ModelError.
    """
    tokenizer = require_tokenizer(tokenizer)
    if len(kinds) < 2:
        raise DataError(
            f"At least 2 categories are needed, got {len(kinds)}.", fix="Add a category."
        )
    every = [word for words in kinds.values() for word in words]
    unit = F.normalize(word_vectors(model, tokenizer, every), dim=-1)
    vectors = dict(zip(every, unit, strict=True))
    single = {
        kind: [word for word in words if len(word_ids(tokenizer, word)) == 1]
        for kind, words in kinds.items()
    }
    return {
        "vocabulary": _scores(table_candidates(model, tokenizer)[0], single, vectors),
        "listed": _scores(Candidates([spelling(word) for word in every], unit), kinds, vectors),
        "caption": KINDS_CAPTION.format(judged=JUDGED),
    }


def _scores(
    candidates: Candidates, kinds: Mapping[str, Sequence[str]], vectors: Mapping[str, Tensor]
) -> CategoryScores:
    """Each category's share and chance, and their means over the categories with enough words."""
    found = {kind: _score(candidates, words, vectors) for kind, words in kinds.items()}
    scores = found.values()
    return {
        "kinds": found,
        "share": _mean([score["share"] for score in scores]),
        "chance": _mean([score["chance"] for score in scores]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return round(sum(known) / len(known), 6)


def _score(
    candidates: Candidates, words: Sequence[str], vectors: Mapping[str, Tensor]
) -> CategoryScore:
    """The share of neighbours in one category; chance is the share of its other words among all
    other candidates.
    """
    count = min(JUDGED, len(words) - 1)
    if len(words) < MIN_WORDS:
        return {"words": len(words), "judged": 0, "share": None, "chance": None}
    kind = {spelling(word) for word in words}
    hits = sum(
        candidates.words[place] in kind
        for word in words
        for place, _ in candidates.nearest(vectors[word], count, [word])
    )
    judged = count * len(words)
    chance = (len(kind) - 1) / (candidates.num_words - 1)
    return {
        "words": len(words),
        "judged": judged,
        "share": round(hits / judged, 4),
        "chance": round(chance, 6),
    }


def few_categories(found: KindScore) -> str:
    """A sentence where too few neighbours are of a word's own category, else ""."""
    score, said = found["vocabulary"], "none"
    if score["share"] is not None:
        said = f"{100 * score['share']:.0f} %"
        if score["share"] >= FEW_OF_A_KIND:
            return ""
    judged = sum(bool(kind["judged"]) for kind in score["kinds"].values())
    return (
        f"{judged} of {len(score['kinds'])} categories have three words that are one token each in "
        f"this vocabulary; of their neighbours {said} are of the same category."
    )
