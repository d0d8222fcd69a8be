"""Sentences that a stage wrote into its results, in English: on a page in another language those of
a known form are said in it, with their values; all others stay as they are, marked as English.
"""

import re
from functools import cache

from groundup.html_nodes import Node, foreign
from groundup.language.messages import SOURCE
from groundup.language.page_texts import language_of_page, say, written

# As `recipes/stages` and `finetune` write them.
FORMS = (
    "The pretrained model has read only {share} of the text.",
    "The public model has read only {share} of the texts.",
    "The public model did not clearly gain on test text: too few steps in this budget, "
    "or texts like those that it knows.",
    "The chat model was trained on {count} of the recipe's {whole} tokens.",
    "The chat model was evaluated on {share} of the held-out instructions.",
    "No held-out instruction has an answer that code can check.",
    "Only {count} checked answers: the intervals are wide.",
    "The classifier {name} was trained and tested on {share} of the messages.",
    "{answerable} answerable and {unanswerable} unanswerable questions: the intervals are wide.",
    "The models were asked {count} of the {whole} questions.",
    "{count} summaries: the intervals are wide.",
    "The gate used {count} prompts instead of {whole}.",
    "it would have taken about {needed}, and {left} were left",
)
_NUMBER = re.compile(r"[\d.,]+(?: [%s]| min(?: \d+ s)?)?")


def as_stored(words: str) -> Node:
    """A stored sentence, in the language of the page where its form is known."""
    if language_of_page() == SOURCE:
        return foreign(words)
    for form in FORMS:
        found = _pattern(form).fullmatch(words)
        if found:
            return foreign(say(form, **{k: _value(v) for k, v in found.groupdict().items()}))
    made = foreign(words)
    made.set("lang", SOURCE)
    return made


@cache
def _pattern(form: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(form)))


def _value(found: str) -> str:
    """A number as the language of the page writes it; a name as it is."""
    if _NUMBER.fullmatch(found):
        return written(found.replace(" ", "\u00a0"))
    return found
