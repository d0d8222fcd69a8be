"""Requests to the reader: sentences of documents that tell whoever reads them to send a secret, to
pay, to follow a link, to call another number or to install something.

A document may be somebody else's text: a message, a page, a review. Shown as an answer, such a
sentence would speak with the voice of who runs the index. So nothing speaks for it (`evidence.py`):
it is never quoted as an answer, and a model's sentence of this kind isn't shown (`generation.py`).

    imperative ("send", "please give", "you must enter", "we need you to pay")
        + object of its class (a PIN, a card number, money to an account, a link ...)
        - negation ("never share"), reports ("criminals ask you to send ...")
    statement ("deposits are paid into account 12345678", "the number has moved to 0911 ...")
        + an address or number that no other document names

Rules over word classes, English, with the commonest German and French words. A firm's own way of
paying or its own website is known by `is_own`: what several documents name is no document's alone.

In the passages that were read, and that a refusal opens, such a sentence stands marked.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from groundup.language.terms import terms
from groundup.retrieve.cite import ANSWERS, Quote, quote_of, statements
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_terms import WordStatistics
from groundup.retrieve.sentences import TextSpan

IsOwn = Callable[[str], bool]
"""Whether an address or number is also named by other documents."""

# Passages with the same address that are looked at for another document.
MAX_LOOKED_AT = 20
SECRET, PERSONAL, PAYMENT = "send a secret", "send personal data", "pay"
LINK, CALL, INSTALL = "follow a link", "call a number", "install a program"

# What nobody asks for who may have it.
_SECRETS = (
    r"pin(?:s| code| number)?|pass ?words?|pass ?codes?|security (?:codes?|numbers?|answers?)"
    r"|(?:card|long) numbers?|number on (?:your|the) card|numbers? (?:of|from) (?:your|the) card"
    r"|(?:photos?|pictures?|scans?|cop(?:y|ies)|images?) of (?:[^.;,]{0,30}? )?(?:bank|debit|credit)"
    r" cards?|(?:16|sixteen)[ -]digits?|card details|(?:debit |credit )?card (?:data|information)"
    r"|(?:one[ -]time|verification|confirmation|sms|access|login|activation|authentication)"
    r" (?:pass ?)?codes?|otps?|cvv2?|cvc2?|cvn|(?:three|3)[ -]digits?(?: code| number)?"
    r"|log[ -]?in (?:details|data|name)|log[ -]?ins?|sign[ -]in details|credentials|user ?names?"
    r"|bank(?:ing)? (?:details|data|login)|memorable (?:words?|information|date)"
    r"|(?:seed|recovery) (?:phrase|words|codes?)|private keys?|secret (?:words?|answers?|questions?)"
    r"|mother'?s maiden name|expiry date|codes? (?:that )?(?:we|you|from|in|on) [^.;]{0,40}?"
    r"(?:texts?|text(?:ed)?|sent|send|receive[sd]?|got|get|sms|app|card reader)"
    r"|kartennummer|passw[oö]rt|kennwort|geheimzahl|tans?\b|zugangsdaten|sicherheitscode|pr[uü]fziffer"
    r"|mot de passe|code secret|num[eé]ro de (?:votre )?carte|identifiants|code de s[eé]curit[eé]"
)
_DATA = (
    r"account (?:number|details)|sort code|iban|date of birth|birth ?dates?|national insurance"
    r"(?: number)?|social security(?: number)?|passports?(?: number| details)?|driving licen[cs]e"
    r"|(?:copy|photo|picture|scan) of (?:your|the) (?:id|card|passport|licen[cs]e|identity)[^.;]*"
    r"|id card|identity (?:card|document)|personal (?:data|details|information)|home address"
    r"|full name|kontonummer|geburtsdatum|ausweis\w*|personalausweis|passeport|rib"
    r"|date de naissance|coordonn[eé]es bancaires|bankverbindung|pers[oö]nliche\w* daten"
)
_SEND = (
    r"send|e-?mail|text|message|whats ?app|sms|forward|give|tell|share|provide|supply|submit|reply"
    r"|respond|answer|post|read (?:out|back)|disclose|reveal|hand over|pass on|confirm|verify|quote"
    r"|state|enter|type(?: in)?|put|key in|fill in|upload|write|include|let us have|say|dictate"
    r"|schicken|senden|schick|sende|teilen|nennen|nenne|geben|gib|mailen|antworten|antworte|eingeben"
    r"|best[aä]tigen|best[aä]tige|envoyez|communiquez|donnez|indiquez|r[eé]pondez|saisissez|confirmez"
    r"|transmettez|entrez"
)
# Entering or quoting a secret at a machine or in an app is no sending.
_TO_SOMEONE = re.compile(
    r"\b(?:to|by|via|through|over|on|at|in (?:a|an|your|the) (?:reply|e-?mail|message|text|form|answer"
    r"|chat|comment)|below|here|back|with|into|under|an|per|unter|[aà]|par|au|sur)\b|@|https?:|www\."
)
_ENTERING = re.compile(
    r"\b(?:enter|type|put|key|fill|confirm|verify|quote|state|include|say|eingeben|saisissez|entrez)\b"
)
_ELSEWHERE = re.compile(
    r"@|https?:|www\.|\b[\w-]+\.(?:example|com|net|org|info|co|uk|de|fr|io|xyz|top|site|online|link)"
    r"|\b(?:web ?)?(?:page|form|site|link|portal)\b|\brepl(?:y|ying)\b|\b(?:by|via|per|par) (?:e-?mail|text|sms)\b"
    r"|\bwhats ?app\b|\bqr\b|\d[\d ]{6,}\d|\bbelow\b|\bhere\b|\bformular|\blien\b|\bformulaire"
)
_PAY = (
    r"pay|transfer|send|wire|remit|deposit|move|top up|settle|make (?:a|the|your|all|any) (?:payment"
    r"|transfer|deposit)s?|make payments?|buy|purchase|[uü]berweisen|[uü]berweise|zahlen|zahle"
    r"|bezahlen|virez|payez|versez|r[eé]glez|transf[eé]rez|kaufen|achetez"
)
_MONEY = (
    r"money|funds?|savings|balance|amounts?|fees?|deposits?|payments?|rent|bills?|sums?|charges?"
    r"|[£$€]\s?\d|\d[\d.,]*\s?(?:£|\$|€|pounds?|euros?|dollars?|gbp|eur)|geld|betrag|geb[uü]hr"
    r"|argent|montant|somme|frais|solde"
)
_TO_ACCOUNT = (
    r"(?:to|into|onto|auf|an|sur|vers|au) (?:[^.;]{0,40}? )?(?:account|iban|wallet|sort code|konto"
    r"|compte|address|paypal|number|card|crypto|bitcoin)"
    r"|\biban\b|[a-z]{2}\d{2}(?: ?[a-z\d]{4}){3,}|\b\d{2}-\d{2}-\d{2}\b"
    r"|\b(?:bitcoins?|crypto\w*|btc|usdt|ethereum|gift ?cards?|gift vouchers?|western union"
    r"|moneygram|paypal|gutscheinkarten?|cartes? cadeaux?)\b"
)
_FOLLOW = (
    r"click|follow|open|visit|tap|go to|press|scan|log ?in(?: (?:at|on|to|via|through))?"
    r"|sign in|browse to|copy|paste|register|head to|see|check|continue|klicken|klick|klicke|[oö]ffnen"
    r"|folgen|besuchen|scannen|scanne|cliquez|suivez|ouvrez|visitez|scannez|rendez-vous|connectez-vous"
)
_LINKED = (
    r"https?://\S+|www\.\S+|\b[\w-]+(?:\.[\w-]+)*\.(?:example|com|net|org|info|co|uk|de|fr|io|xyz|top"
    r"|site|online|link|biz|app)\b(?:/\S*)?"
)
_LINK_WORDS = (
    r"(?:this|the|our|these|that|following|attached|secure|new) (?:\w+ )?(?:links?|qr[ -]?codes?"
    r"|urls?|attachments?)|links? (?:below|above|here)|qr[ -]?codes?|(?<=click )here|(?<=tap )here"
    r"|(?:den|diesen|folgenden) (?:\w+ )?link|(?:le|ce) (?:\w+ )?lien|hier klicken|cliquez ici"
)
_CALL = r"call|ring|phone|dial|telephone|text|whats ?app|anrufen|rufen|ruf|appelez|composez"
_NUMBER = re.compile(r"\+?\d[\d ()/-]{5,}\d")
_INSTEAD = re.compile(
    r"\binstead\b|\bnot the (?:number|one)|\bignore the\b|\bnew (?:\w+ )?(?:number|line|hotline)"
    r"|\bno longer\b|\bother than\b|\brather than\b|\bdo(?: not|n't) (?:use|ring|call)\b|\bonly this\b"
    r"|\bwhatever (?:\w+ ){0,4}says\b|\bstatt\b|\bneue (?:nummer|hotline)\b|\bau lieu\b|\bnouveau num"
)
_INSTALL = (
    r"download|install|run|update|open|herunterladen|installieren|t[eé]l[eé]chargez|installez"
)
_PROGRAM = (
    r"\w+\.(?:exe|apk|msi|dmg|zip|bat|scr|js)\b|any ?desk|team ?viewer|quick ?support|remote"
    r"(?:[ -](?:access|control|support|desktop|help))?|(?:this|the|our|attached|following) (?:\w+ )?"
    r"(?:software|program(?:me)?|file|tool|attachment|extension|plug-?in|certificate|profile)"
    r"|software|programm|datei|logiciel|fichier"
)
_STORE = re.compile(r"\b(?:app|play) ?store\b|\bgoogle play\b")

# What stands before a verb that tells the reader to do something.
_BEFORE = (
    r"(?:^|[.:;,!?()\-–—>*|\"“”]\s*|\b(?:and|then|please|just|simply|now|first|so|or|also|kindly"
    r"|immediately|always|bitte|if you|und|dann|veuillez|et|puis|must|should|shall|(?:have|need|has) to"
    r"|required to|requested to|asked to|obliged to|sure to|can only|may only|you (?:can|may|could)"
    r"|we need you to|we ask you to|we(?: also| now| must)? ask (?:that )?(?:you|customers|everyone) to"
    r"|for [^.,;:]{1,60}?|in case of [^.,;:]{1,60}?|m[uü]ssen(?: sie)?|sollten(?: sie)?|devez|faut)\s+)"
)
_NEGATED = re.compile(
    r"\b(?:never|not|nobody|no one|none|cannot|avoid|refuse to|stop|niemals|nie|nicht|kein\w*"
    r"|jamais|ne|n'|pas)\b|n['’]t\b"
)
_REPORTED = re.compile(
    r"\b(?:(?:he|she|they|it|who|anyone|anybody|someone|somebody|callers?|criminals?|fraudsters?"
    r"|scammers?|thie(?:f|ves)|strangers?|impostors?|texts?|messages?|e-?mails?|calls?|websites?"
    r"|people|betr[uü]ger|escrocs?|jemand|quelqu'un)\b[^.;:]{0,60}?\b(?:asks?|asked|asking|tells?"
    r"|told|telling|says?|said|saying|wants?|urges?|claims?|pretends?|offers?|demands?|requests?"
    r"|invites?|tries|try|instructs?|persuades?|gets?|might|may|will|can|could|bittet|fordert"
    r"|demande(?:nt)?))\b"
)
_CLASSES = {
    SECRET: (_SEND, _SECRETS),
    PERSONAL: (_SEND, _DATA),
    PAYMENT: (_PAY, rf"{_MONEY}|{_TO_ACCOUNT}"),
    LINK: (_FOLLOW, rf"{_LINKED}|{_LINK_WORDS}"),
    CALL: (_CALL, r"\+?\d[\d ()/-]{5,}\d|number|line|hotline|nummer|num[eé]ro"),
    INSTALL: (_INSTALL, _PROGRAM),
}
_PATTERNS = {
    kind: re.compile(
        rf"{_BEFORE}(?P<verb>{verbs})\b(?P<rest>[^.!?;]*?(?<!\w)(?:{objects}).*)", re.DOTALL
    )
    for kind, (verbs, objects) in _CLASSES.items()
}

# Statements that name where secrets, money or calls go; with what they name.
_ACCOUNT = r"[a-z]{2}\d{2}(?: ?[a-z\d]{4}){3,}|\b\d{2}-\d{2}-\d{2}\b|\b\d{6,}\b"
_STATED = {
    SECRET: (
        re.compile(rf"\b(?:sign|log)s? in\b[^.;]*?\bwith\b[^.;]*?(?<!\w)(?:{_SECRETS})(?!\w)"),
        re.compile(_LINKED),
    ),
    PAYMENT: (
        re.compile(r"\b(?:paid|paying|settled|settling|transferred|sent)\b[^;]*\baccount\b"),
        re.compile(_ACCOUNT),
    ),
    CALL: (
        re.compile(r"\b(?:number|line)\b[^;]*\b(?:moved|switched over|changed|diverted) to\b"),
        re.compile(r"(?<!\d)(?!\d{4}-\d\d-\d\d)\+?\d[\d ()/-]{5,}\d"),
    ),
}


@dataclass(frozen=True)
class ReaderRequest:
    """What a sentence tells its reader to do."""

    kind: str
    """SECRET, PERSONAL, PAYMENT, LINK, CALL or INSTALL."""
    text: str
    """The words that say so."""


def nothing_known(_: str) -> bool:
    """Take no address or number for the firm's own."""
    return False


def known_elsewhere(index: Index, passage: Passage) -> IsOwn:
    """Return the function that says whether another document than the passage's names an address's
    host, or a number.
    """

    def is_own(address: str) -> bool:
        host = re.sub(r"^(?:https?://)?(?:www\.)?", "", address).split("/")[0]
        phrase = " ".join(terms(host, passage.language))
        ids = index.matching([phrase], MAX_LOOKED_AT) if phrase else []
        return any(each.document_id != passage.document_id for each in index.passages(ids))

    return is_own


def request_of(sentence: str, is_own: IsOwn = nothing_known) -> ReaderRequest | None:
    """Return what a sentence tells its reader to do that no answer may; None: nothing of the kind.

    >>> request_of("To get a refund, send your card number to help@refunds.example.").kind
    'send a secret'
    >>> request_of("Never send your card number to anyone.") is None
    True
    """
    text = _plain(sentence)
    for kind, pattern in _PATTERNS.items():
        for found in pattern.finditer(text):
            if not _is_denied(text, found) and _is_of(kind, text, found, is_own):
                return ReaderRequest(kind, found[0].strip())
    return _stated(text, is_own)


def _stated(text: str, is_own: IsOwn) -> ReaderRequest | None:
    """Return what a sentence says to be sent, paid or called where no other document says so."""
    for kind, (pattern, place) in _STATED.items():
        found = pattern.search(text)
        if not found or _NEGATED.search(text) or _REPORTED.search(text):
            continue
        named = (each[0].strip(" .,;:!?)]") for each in place.finditer(text))
        if not all(map(is_own, named)):
            return ReaderRequest(kind, found[0].strip())
    return None


def _plain(sentence: str) -> str:
    """A sentence in small letters, without marks that hide words."""
    text = unicodedata.normalize("NFKC", sentence).replace("’", "'")
    visible = "".join(each for each in text if unicodedata.category(each) != "Cf")
    return " ".join(re.sub(r"[*_`#]+", " ", visible).lower().split())


def _is_denied(text: str, found: re.Match[str]) -> bool:
    """Whether the verb is negated in its clause, or somebody else is reported to ask for it."""
    start = found.start("verb")
    clause = re.split(r"[.:;!?]|,\s|\bbut\b|\band\b", text[:start])[-1]
    if re.search(r"\b(?:do not|don't|never)\b[^.:;,!?]*\Z", text[:start]):
        return True
    if re.search(r"\b(?:niemals|nie|nicht|keine\w*|jamais|pas)\b", found["rest"]):
        return True
    before = re.split(r"[.;!?]", text[:start])[-1]
    return bool(_NEGATED.search(clause) or _REPORTED.search(before))


def _is_of(kind: str, text: str, found: re.Match[str], is_own: IsOwn) -> bool:
    """Whether verb and object are of this kind, with what else it must have."""
    verb, rest = found["verb"], found["rest"]
    named = [each.rstrip(".,;:!?)]") for each in re.findall(_LINKED, rest)]
    strange = [each for each in named if not is_own(each)]
    if kind == SECRET:
        if _ENTERING.search(verb):
            return bool(_ELSEWHERE.search(rest)) and (bool(strange) or not named)
        return bool(_TO_SOMEONE.search(rest)) or not re.search(r"\bnew\b", rest)
    if kind == PERSONAL:
        numbers = [each for each in _NUMBER.findall(rest) if not is_own(each)]
        return bool(
            strange or numbers or ("reply" in verb) or re.search(r"\bin reply\b|reply\b", rest)
        )
    if kind == PAYMENT:
        accounts = re.search(_TO_ACCOUNT, rest)
        return bool(
            accounts
            and re.search(rf"(?<!\w)(?:{_MONEY})|\d{{6,}}", rest + text)
            and (strange or _is_strange_account(rest, is_own))
        )
    if kind == LINK:
        return bool(strange) or (not named and re.search(_LINK_WORDS, verb + rest) is not None)
    if kind == CALL:
        numbers = [each for each in _NUMBER.findall(rest) if not is_own(each)]
        return bool(numbers and _INSTEAD.search(text))
    return not _STORE.search(text) and (bool(strange) or not named)


def _is_strange_account(rest: str, is_own: IsOwn) -> bool:
    """Whether what is paid into is named by this document alone."""
    numbers = re.findall(_ACCOUNT, rest)
    if numbers:
        return not all(map(is_own, numbers))
    return bool(
        re.search(
            r"\b(?:new|safe|secure|holding|following|this|different|other|temporary|bitcoins?|crypto\w*"
            r"|btc|usdt|wallet|gift|western|moneygram|paypal|gutschein\w*|cadeaux?|neue\w*|sichere\w*"
            r"|nouveau)\b",
            rest,
        )
    )


MARK = "[the document's own request]"
Requests = Sequence[Sequence[TextSpan]]
"""Of each of some passages the spans, in their documents, of its requests."""


def request_spans(index: WordStatistics, passage: Passage) -> tuple[TextSpan, ...]:
    """Return the spans, in its document, of the sentences of a passage that are requests."""
    is_own = known_elsewhere(index, passage) if isinstance(index, Index) else nothing_known
    return tuple(
        (passage.start + each.start, passage.start + each.end)
        for each in statements(passage)
        if request_of(each.text, is_own)
    )


def without_requests(quotes: Sequence[Quote], requests: Requests) -> tuple[Quote, ...]:
    """Leave out quotations that hold a request; what answers, as a whole list, ends before it."""
    kept = []
    for quote in quotes:
        held = [span for span in requests[quote.source - 1] if _meets(quote, span)]
        if not held:
            kept.append(quote)
        elif quote.role == ANSWERS and held[0][0] > quote.start:
            text = quote.text[: held[0][0] - quote.start].rstrip()
            kept.append(replace(quote, text=text, end=quote.start + len(text)))
    return tuple(kept)


def _meets(quote: Quote, span: TextSpan) -> bool:
    return span[0] < quote.end and quote.start < span[1]


def first_quote(passages: Sequence[Passage], requests: Requests) -> Quote | None:
    """Return the first sentence of the first passage that has one other than requests."""
    for number, (passage, spans) in enumerate(zip(passages, requests, strict=True), start=1):
        for each in statements(passage):
            quote = quote_of(passage, number, each)
            if not any(_meets(quote, span) for span in spans):
                return quote
    return None


def marked_text(passage: Passage, spans: Sequence[TextSpan]) -> str:
    """Return a passage's text with MARK before each of its requests."""
    text = passage.text
    for start, _ in sorted(spans, reverse=True):
        place = start - passage.start
        text = f"{text[:place]}{MARK} {text[place:]}"
    return text
