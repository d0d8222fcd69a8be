"""Word categories in embeddings: the share of neighbours of the same category (days, countries, ...), and the share by chance.

    kind_score(model, tokenizer)       {"vocabulary": {"kinds": {"days": {"words": 7, "judged": 35, "share": 0.97, "chance": 0.0002}, ...}, ...}, ...}
    analogy_score(model, tokenizer)    how many of a list of a - b + c have the expected neighbour

For any model with a tokenizer; a small vocabulary may contain few of the words as single tokens, and the score says how many.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from groundup.errors import DataError
from groundup.lab.neighbours import Candidates, spelled, table_candidates
from groundup.lab.request import require_tokenizer
from groundup.lab.tokens import token_text
from groundup.lab.vectors import word_ids, word_vectors
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

# Neighbours counted for each word; fewer where its category has fewer other words.
JUDGED = 5
# Fewest words of a category, or its share would be noise.
MIN_WORDS = 3
# A share of neighbours of the same category from which on the view shows something.
FEW_OF_A_KIND = 0.2
CAPTION = (
    "The nearest neighbours of each word by cosine, as many as its category has other words, {judged} at most: the share of the same category. "
    "Chance: random neighbours. Left: words that are one token, among all words of the vocabulary. Right: all words, among the listed ones "
    "only, with the mean of their tokens (words that share a token are near for that reason alone)."
)
ANALOGY_CAPTION = (
    "a - b + c, each normalised; the rank of the expected word among all words of the vocabulary, by cosine."
)

# Full names as in running English text; without abbreviations and inpatternants, so that "Mon" or "French" among the neighbours is a miss.
# Countries: members of the United Nations whose name is one common word. Words with a second meaning (May, Turkey) stay.
_LISTS = {
    "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "months": "January February March April May June July August September October November December",
    "numbers": (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion"
    ),
    "countries": (
        "Afghanistan Albania Algeria Angola Argentina Armenia Australia Austria Azerbaijan Bahrain Bangladesh Belarus "
        "Belgium Bolivia Botswana Brazil Bulgaria Cambodia Cameroon Canada Chile China Colombia Croatia Cuba Cyprus "
        "Denmark Ecuador Egypt Estonia Ethiopia Finland France Georgia Germany Ghana Greece Guatemala Haiti Honduras "
        "Hungary Iceland India Indonesia Iran Iraq Ireland Israel Italy Jamaica Japan Jordan Kazakhstan Kenya Kuwait Laos "
        "Latvia Lebanon Liberia Libya Lithuania Madagascar Malaysia Mali Malta Mexico Mongolia Morocco Mozambique Myanmar "
        "Namibia Nepal Netherlands Nicaragua Nigeria Norway Oman Pakistan Panama Paraguay Peru Philippines Poland "
        "Portugal Qatar Romania Russia Rwanda Senegal Serbia Singapore Slovakia Slovenia Somalia Spain Sudan Sweden "
        "Switzerland Syria Tanzania Thailand Tunisia Turkey Uganda Ukraine Uruguay Uzbekistan Venezuela Vietnam Yemen "
        "Zambia Zimbabwe"
    ),
}

KINDS: Mapping[str, tuple[str, ...]] = {kind: tuple(words.split()) for kind, words in _LISTS.items()}

# a - b + c should be d (after Mikolov et al. 2013): family, capitals, languages, plural, tense, degree.
ANALOGIES: tuple[tuple[str, str, str, str], ...] = (
    ("king", "man", "woman", "queen"),
    ("uncle", "man", "woman", "aunt"),
    ("actor", "man", "woman", "actress"),
    ("brother", "boy", "girl", "sister"),
    ("Paris", "France", "Germany", "Berlin"),
    ("Paris", "France", "Italy", "Rome"),
    ("Tokyo", "Japan", "China", "Beijing"),
    ("Madrid", "Spain", "Russia", "Moscow"),
    ("Spanish", "Spain", "France", "French"),
    ("German", "Germany", "Italy", "Italian"),
    ("cars", "car", "dog", "dogs"),
    ("houses", "house", "city", "cities"),
    ("walking", "walk", "swim", "swimming"),
    ("went", "go", "see", "saw"),
    ("bigger", "big", "small", "smaller"),
    ("best", "good", "bad", "worst"),
)


def kind_score(model: Model, tokenizer: Tokenizer | None, kinds: Mapping[str, Sequence[str]] = KINDS) -> dict[str, Any]:
    """Return the share of neighbours of a word's own category, for each category and on average, and the share by chance.

    {"vocabulary": {"kinds": {kind: {"words", "judged", "share", "chance"}}, "share", "chance"}, "listed": the same, "caption"}
    "share" is None where a category has fewer than three words that count. Raises DataError (fewer than two categories), ModelError.
    """
    tokenizer = require_tokenizer(tokenizer)
    if len(kinds) < 2:
        raise DataError(f"At least 2 categories are needed, got {len(kinds)}.", fix="Give another.")
    every = [word for words in kinds.values() for word in words]
    unit = F.normalize(word_vectors(model, tokenizer, every), dim=-1)
    vectors = dict(zip(every, unit, strict=True))
    single = {kind: [word for word in words if len(word_ids(tokenizer, word)) == 1] for kind, words in kinds.items()}
    return {
        "vocabulary": _scores(table_candidates(model, tokenizer)[0], single, vectors),
        "listed": _scores(Candidates([spelled(word) for word in every], unit), kinds, vectors),
        "caption": CAPTION.format(judged=JUDGED),
    }


def _scores(
    candidates: Candidates, kinds: Mapping[str, Sequence[str]], vectors: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Return each category's share and chance, and their means over the categories with enough words."""
    found = {kind: _score(candidates, words, vectors) for kind, words in kinds.items()}
    judged = [score for score in found.values() if score["judged"]]

    def mean(name: str) -> float | None:
        return round(sum(score[name] for score in judged) / len(judged), 6) if judged else None

    return {"kinds": found, "share": mean("share"), "chance": mean("chance")}


def _score(candidates: Candidates, words: Sequence[str], vectors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the share of neighbours in one category; chance is the share of its other words among all other candidates."""
    count = min(JUDGED, len(words) - 1)
    if len(words) < MIN_WORDS:
        return {"words": len(words), "judged": 0, "share": None, "chance": None}
    kind = {spelled(word) for word in words}
    hits = sum(
        candidates.words[place] in kind
        for word in words
        for place, _ in candidates.nearest(vectors[word], count, [word])
    )
    judged = count * len(words)
    chance = (len(kind) - 1) / (candidates.num_words - 1)
    return {"words": len(words), "judged": judged, "share": round(hits / judged, 4), "chance": round(chance, 6)}


def few_categories(found: Mapping[str, Any]) -> str:
    """Return a sentence where too few neighbours are of a word's own category, else "". `found` is from `kind_score`."""
    score = found["vocabulary"]
    if score["share"] is not None and score["share"] >= FEW_OF_A_KIND:
        return ""
    judged = sum(bool(kind["judged"]) for kind in score["kinds"].values())
    share = "none" if score["share"] is None else f"{100 * score['share']:.0f} %"
    return (
        f"{judged} of {len(score['kinds'])} categories have three words that are one token each in this vocabulary; of their neighbours {share} "
        "are of the same category."
    )


def analogy_score(
    model: Model, tokenizer: Tokenizer | None, questions: Sequence[tuple[str, str, str, str]] = ANALOGIES
) -> dict[str, Any]:
    """Return how many of the questions a - b + c have d nearest, and among the five nearest; those whose d is not one token are left out.

    {"answers": [{"question", "expected", "found": [5 words], "rank": 1 .. 5 or None}], "first", "among_five", "asked", "caption"}. Raises ModelError.
    """
    tokenizer = require_tokenizer(tokenizer)
    candidates, ids = table_candidates(model, tokenizer)
    answers = []
    for a, b, c, expected in questions:
        if len(word_ids(tokenizer, expected)) > 1:
            continue
        first, minus, plus = F.normalize(word_vectors(model, tokenizer, [a, b, c]), dim=-1)
        places = [place for place, _ in candidates.nearest(first - minus + plus, JUDGED, [a, b, c])]
        words = [candidates.words[place] for place in places]
        rank = words.index(spelled(expected)) + 1 if spelled(expected) in words else None
        found = [token_text(tokenizer, ids[place]).strip() for place in places]
        answers.append({"question": f"{a} - {b} + {c}", "expected": expected, "found": found, "rank": rank})
    return {
        "answers": answers,
        "first": sum(answer["rank"] == 1 for answer in answers),
        "among_five": sum(answer["rank"] is not None for answer in answers),
        "asked": len(answers),
        "caption": ANALOGY_CAPTION,
    }
