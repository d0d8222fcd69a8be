"""How the firm of an index is reached, for a question that its documents don't answer: the
telephone number and the e-mail address that passages below a heading such as "Contact" have.

Where no passage has such a heading nothing is said: a number in the middle of a text may be anyone's.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.refusals import NOTHING_FOUND, Refusal

# Of passages with the words that are looked for; numbers and addresses are compared by these.
MAX_PASSAGES = 40
_WORDS = ("contact", "contacts", "reach", "touch", "kontakt", "impressum", "contacter")
_HEADED = re.compile(
    r"\b(?:contacts?(?: us)?|(?:get )?in touch|reach us|find us|kontakt|impressum|nous contacter)\b",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\w.,£$€/-])(?:\+\d{1,3}[ ./-]?)?\(?0\d(?:[\d ()/-]|\.(?!\s)){6,}\d(?![\w.,]\d)"
)
# What stands before a number that is none of a telephone.
_REGISTERED = re.compile(r"\b(?:regist\w+|company|charity|vat|hrb)\b[^.\n]{0,25}\Z", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.\w{2,}")


def nothing_found(index: Index | GivenPassages) -> Refusal:
    """Return the refusal of a question that the documents don't answer, with the number and the
    address that most of these passages have.
    """
    phones, mails = Counter[str](), Counter[str]()
    for passage in _headed(index) if isinstance(index, Index) else ():
        phones.update(dict.fromkeys(_phones(passage.text), 1))
        mails.update(dict.fromkeys(_MAIL.findall(passage.text), 1))
    found = [each for counts in (phones, mails) for each, _ in counts.most_common(1)]
    if not found:
        return NOTHING_FOUND
    text = f"{NOTHING_FOUND.text} They name as contact: {', '.join(found)}."
    return replace(NOTHING_FOUND, text=text)


def _phones(text: str) -> Iterator[str]:
    for found in _PHONE.finditer(text):
        if not _REGISTERED.search(text, 0, found.start()):
            yield found[0]


def _headed(index: Index) -> Iterator[Passage]:
    for passage in index.passages(index.matching(_WORDS, MAX_PASSAGES)):
        above, _, title = passage.title.rpartition(" > ")
        is_branch = _HEADED.fullmatch(above.rpartition(" > ")[2])
        if _HEADED.search(title) or is_branch or _HEADED.match(passage.document):
            yield passage
