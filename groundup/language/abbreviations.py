"""Abbreviations of text messages, written out: "where r u" -> "where are you".

Encoders and readers have seen few of these words, and a search looks for them as they stand.
English alone: "im" and "u" are words of German.
"""

import re

_WRITTEN_OUT = {
    "r": "are",
    "u": "you",
    "ur": "your",
    "urs": "yours",
    "y": "why",
    "pls": "please",
    "plz": "please",
    "thx": "thanks",
    "cos": "because",
    "coz": "because",
    "b4": "before",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "have to",
    "gimme": "give me",
    "lemme": "let me",
    "dunno": "don't know",
    "im": "I'm",
    "ive": "I've",
    "whats": "what's",
    "wots": "what's",
    "wot": "what",
    "wheres": "where's",
    "whens": "when's",
    "hows": "how's",
    "whos": "who's",
    "dont": "don't",
    "doesnt": "doesn't",
    "didnt": "didn't",
    "cant": "can't",
    "wont": "won't",
    "isnt": "isn't",
    "arent": "aren't",
    "tmrw": "tomorrow",
    "tmw": "tomorrow",
    "2moro": "tomorrow",
    "2day": "today",
    "2nite": "tonight",
    "wkend": "weekend",
    "wknd": "weekend",
    "hrs": "hours",
    "mins": "minutes",
    "yrs": "years",
    "yr": "year",
    "wk": "week",
    "wks": "weeks",
    "appt": "appointment",
    "bday": "birthday",
    "thru": "through",
    "ppl": "people",
    "sumone": "someone",
    "nxt": "next",
    "abt": "about",
}
_WORD = re.compile(rf"(?<![\w'’.@/-])(?:{'|'.join(_WRITTEN_OUT)})(?![\w'’@/-])", re.IGNORECASE)


def written_out(text: str, language: str) -> str:
    """Return an English text with the abbreviations of text messages written out; others as they
    are.

    >>> written_out("where r u, and whats ur number pls?", "en")
    "where are you, and what's your number please?"
    >>> written_out("im Laden", "de"), written_out("Plan R, block U", "en")
    ('im Laden', 'Plan R, block U')
    """
    if language != "en":
        return text
    return _WORD.sub(_full, text)


def _full(found: re.Match[str]) -> str:
    word = found[0]
    if len(word) == 1 and word.isupper():  # a letter that names something
        return word
    return _WRITTEN_OUT[word.lower()]
