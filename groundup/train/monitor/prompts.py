"""Prompts for samples: the first words of sentences of a held-out text.

    sentence_starts("ACT I\\n\\nNow is the winter of our discontent made glorious. ...") -> ["Now is
        the winter"]

A sentence here begins a line or follows the end of another in its paragraph, is no heading (most of
its words begin small, where a script has small letters) and has no markup. Of scripts without
spaces the first letters are taken instead of words.
"""

import re
from collections.abc import Iterator, Sequence

PROMPT_WORDS, PROMPT_CHARACTERS = 4, 32
# Shorter sentences leave nothing to continue.
MIN_WORDS, MIN_CHARACTERS = 7, 30
SMALL_SHARE = 0.7
# A text without spaces (Chinese, Japanese, Thai) has sentences of one "word".
UNSPACED_CHARACTERS = 8
SEARCHED_CHARACTERS = 20_000
_SENTENCE = re.compile(
    r"(?:^|(?<=[.!?…][\s\"'”’)»])|(?<=\n)|(?<=[。！？]))\s*([^\s.!?…。！？][^.!?…。！？]*[.!?…。！？])"
)
_BLANK_LINE = re.compile(r"\n\s*\n")
_MARKUP = re.compile(r"[#|`<>{}\[\]*_=\\/@~^+]|https?:|^[-•\d]", re.MULTILINE)


def sentence_starts(text: str) -> Iterator[str]:
    """Yield the first words of each sentence that fits, in order, of the beginning of a text."""
    paragraphs = _BLANK_LINE.split(text[:SEARCHED_CHARACTERS])
    for match in (match for each in paragraphs for match in _SENTENCE.finditer(each)):
        words = match[1].split()
        if not _is_sentence(match[1], words):
            continue
        if len(words) < MIN_WORDS:
            yield match[1][:UNSPACED_CHARACTERS]
            continue
        count = PROMPT_WORDS
        while count > 1 and len(" ".join(words[:count])) > PROMPT_CHARACTERS:
            count -= 1
        yield " ".join(words[:count]).rstrip(",;:")


def _is_sentence(sentence: str, words: Sequence[str]) -> bool:
    """Whether a stretch up to the end of a sentence is one that a reader would call so."""
    first = sentence[0]
    spaced = len(words) >= MIN_WORDS and len(sentence) >= MIN_CHARACTERS
    unspaced = (
        len(sentence) >= 2 * UNSPACED_CHARACTERS and not sentence.isascii() and len(words) == 1
    )
    if (
        not (spaced or unspaced)
        or not first.isalpha()
        or first.islower()
        or _MARKUP.search(sentence)
    ):
        return False
    small = sum(not word[0].isupper() for word in words[1:])
    first_words = words[:PROMPT_WORDS]
    shouted = any(len(word) > 1 and word.isupper() for word in first_words)
    listed = any(mark in word for word in first_words for mark in ":;()'’\"“")
    return small >= SMALL_SHARE * (len(words) - 1) and not shouted and not listed


def prompts_of(texts: Sequence[str], count: int) -> list[str]:
    """Return at most `count` different prompts, in turn from each text, from the middle of each
    on.
    """
    found: list[str] = []
    sources = [sentence_starts(text[len(text) // 2 :]) for text in texts]
    sources += [sentence_starts(text) for text in texts]
    while sources and len(found) < count:
        for source in list(sources):
            prompt = next(source, None)
            if prompt is None:
                sources.remove(source)
            elif prompt not in found and len(found) < count:
                found.append(prompt)
    return found
