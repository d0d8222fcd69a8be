"""Questions for a firm's telephone number, address or e-mail, and the sentences that hold one.

"Where are you?" shares no word with "27 Rope Walk, Westerholme", and its meaning is that of any page
on getting there. What is asked for is known by its form.
"""

import re

# Added to how well a sentence fits that has what is asked for, on the scale of cosines: about what
# a shared subject is worth.
HELD = 0.4
_FORMS = (
    (
        re.compile(
            r"\b(?:(?:tele)?phone|call|ring|contact)\b.*\b(?:number|no)\b"
            r"|\b(?:your|the) (?:tele)?phone\b|\bnumber (?:do|can|should) i (?:call|ring)\b"
            r"|\bhow (?:do|can) i (?:call|ring|phone) you\b",
            re.IGNORECASE,
        ),
        re.compile(r"(?<![\d£$€])(?:\+|\b0)\d[\d ()-]{6,}\d\b"),
    ),
    (
        re.compile(
            r"\bwhere (?:are|is) (?:you|the (?:shop|office|practice|branch|school|restaurant))\b"
            r"|\b(?:your|the|postal) address\b|\bwhere (?:can|do) i find you\b|\bhow do i find you\b",
            re.IGNORECASE,
        ),
        re.compile(
            r"\b\d{1,4}[a-z]?,? (?:[A-Z][\w'’-]+ ){1,3}?(?:Street|St|Road|Rd|Avenue|Ave|Lane|Walk|Row"
            r"|Square|Place|Court|Way|Drive|Close|Terrace|Yard|Quay|Hill|Parade|Passage|Gardens?)\b"
        ),
    ),
    (re.compile(r"\be-?mail\b", re.IGNORECASE), re.compile(r"[\w.+-]+@[\w-]+\.\w+")),
)


def contact_detail(question: str, text: str) -> float:
    """Return HELD where a question asks for a contact detail that a text holds; else 0.

    >>> contact_detail("where are you", "Pebblegate, 27 Rope Walk, Westerholme.")
    0.4
    >>> contact_detail("where are you", "Parking is free."), contact_detail("why", "27 Rope Walk")
    (0.0, 0.0)
    """
    return HELD if any(a.search(question) and held.search(text) for a, held in _FORMS) else 0.0
