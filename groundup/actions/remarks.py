"""Remarks: what a message tells of an action without asking for it.

    thanks      "Thanks for moving my appointment.", "My refund came through today, many thanks."
    a plan      "We might book again next month."
    asked only  "I'm not cancelling, I only wonder what the rules are."

Plain rules over a sentence that neither asks nor orders by its form, in English.
"""

import re

from groundup.actions.message_form import sentence_forms, sentences

_THANKS = r"(?:thanks|thank (?:you|u)|thx|ta|cheers|many thanks)"
_THANKED_FOR = re.compile(
    rf"(?:\A|[,;:.!-]\s*)(?:oh|hi|hello|great|ok|so|and|just|\W)*{_THANKS}\b"
    r"(?: (?:so|very|ever) much| a lot| again| all)*,? for"
    r" (?:\w+ly |so )?(?!nothing)(?:\w+ing\b|the\b|your\b|my\b|our\b|that\b|being\b|all\b)",
    re.IGNORECASE,
)
# "You moved me to the 16.30, thanks": a thing done, then thanks, and nothing behind.
_DONE = re.compile(
    r"(?:\b(?:\w+ed|came|come|went|gone|got|sent|gave|given|put|let|took|made|paid|is|are|was|were"
    r"|fits|works|runs)\b|'s\b|'re\b).*[,.!-]\s*"
    rf"(?:(?:many |so )?{_THANKS}\b(?! very much!)[^?]*"
    r"|(?:all|everything)(?:'s| is)? (?:good|well|sorted|fine|done)(?: now)?"
    r"|(?:it )?work(?:s|ed) (?:fine|well|a treat)|i'm delighted|(?:we're )?happy with it)\W*\Z",
    re.IGNORECASE | re.DOTALL,
)
_OPEN = re.compile(
    r"\b(?:\w+n't|dont|cant|wont|not|no|never|but|wrong|broken|lost|stolen|missing|late|cancelled"
    r" on|still|needs?|wants?|wish|hop(?:e|ing)|should|must)\b",
    re.IGNORECASE,
)
_PLANS = re.compile(
    r"\b(?:i|we)(?:'ll| will)? (?:just )?(?:might|may|probably|possibly)(?! (?:as well|have|not)\b) \w"
    r"|\b(?:i|we)(?:'m| am|'re| are|'ve been| have been) (?:still |only |just )?"
    r"(?:thinking (?:of|about)|considering|toying with|wondering about|thinking it over)\b"
    r"(?!.*\b(?:and|so|but)\b)",
    re.IGNORECASE,
)
_ASKS_ONLY = re.compile(
    r"\b(?:only|just|simply)\b(?:'m| am| want(?:ed)?| like| to| be)* "
    r"(?:ask(?:ing|ed)?|wonder(?:ing|ed)?|curious|know|interested)\b",
    re.IGNORECASE,
)


def is_remark(text: str) -> bool:
    """Whether all sentences of a text only tell of an action: it was done, may be wished for some
    day, or is only asked about.

    >>> is_remark("Thanks for moving my appointment."), is_remark("We might book next month.")
    (True, True)
    >>> is_remark("I'm not leaving, I only wonder how notice works.")
    True
    >>> is_remark("I might as well cancel it"), is_remark("It has not come, thanks for nothing")
    (False, False)
    """
    said = zip(sentences(text), sentence_forms(text), strict=True)
    return all(form in ("statement", "question") and _only_tells(each) for each, form in said)


def _only_tells(sentence: str) -> bool:
    if sentence.endswith("?"):
        return False
    if _ASKS_ONLY.search(sentence) or _THANKED_FOR.search(sentence):
        return True
    if _OPEN.search(sentence):
        return False
    return _DONE.search(sentence) is not None or _PLANS.search(sentence) is not None
