"""Words of one kind, to ask whether a model's embeddings know that they are of one kind. Data only.

Full names, as they stand in running English text; abbreviations and inhabitants are left out, so that "Mon" or "French" among the
neighbours counts as a miss. Countries: members of the United Nations in one common word. Where a word has a second meaning (May, March,
Turkey) it stays: the model has to cope with it, too.
"""

from collections.abc import Mapping

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
