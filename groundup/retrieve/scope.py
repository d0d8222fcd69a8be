"""What a customer's message is about, as far as it decides who replies: danger to life (a fixed
text stands above the answer), self-harm (a fixed text stands alone), and the wish to speak to a
person.

Plain rules over the words, in English and, shorter, in German, French and Spanish. Danger is looked
for broadly, also in what is only asked about it; a wish for a person narrowly, since "can I talk to
someone about a loan?" is a question that documents may answer.
"""

import re
from typing import Literal

Urgent = Literal["emergency", "self_harm"]
# A longer message says more than that somebody wants to speak to a person.
MAX_WORDS_OF_WISH = 16
_SELF_HARM = re.compile(
    r"\b(?:kill(?:ing)? (?:myself|himself|herself|themselves)|suicid\w*"
    r"|take (?:my|his|her) own life"
    r"|end(?:ing)? (?:my life|it all)|(?:want|wish|going|ready) to (?:die|be dead)"
    r"|don'?t want to (?:live|be alive|be here any ?more|go on living)"
    r"|(?:hurt(?:ing)?|harm(?:ing)?|cutting) (?:myself|himself|herself|themselves)"
    r"|self[- ]?harm\w*|no reason to live|better off dead"
    r"|selbstmord\w*|mich umbringen|mir das leben nehmen|nicht mehr leben|me tuer"
    r"|envie de mourir|quiero (?:morir(?:me)?|matarme)|quitarme la vida|acabar con mi vida"
    r"|no quiero (?:seguir viviendo|vivir m[aá]s)|hacerme da[nñ]o)\b",
    re.IGNORECASE,
)
_EMERGENCY = re.compile(
    r"\b(?:(?:can'?t|can ?not|can barely|unable to|struggl\w+ to|trouble|difficulty|hard to|not"
    r"|stopped|isn'?t) (?:breath\w*|swallow\w*)|chest pains?|heart attack|(?:having|had) a stroke"
    r"|unconscious|unresponsive|passed out|(?:has|have|just) collapsed|collapsed and|overdos\w+"
    r"|(?:took|taken|swallowed) (?:too many|bleach|poison|a battery)|anaphyla\w+"
    r"|allergic reaction|seizure|having a fit|(?:is|am|he's|she's|i'm) choking"
    r"|(?:is|are|he's|she's) drowning(?! in)|severe bleeding"
    r"|bleeding (?:heavily|badly|a lot|to death)"
    r"|(?:won'?t|doesn'?t|not|can'?t) stop (?:the )?bleed\w*|poisoned|electrocuted|stabbed"
    r"|(?:been|was|got) shot|(?:being|been) attacked"
    r"|(?:attacking|threatening|trying to kill) (?:me|us)"
    r"|(?:is|are|it's) on fire|there(?:'s| is) a fire|smell(?:s|ing)? (?:of )?gas|gas leak"
    r"|(?:call|need) an ambulance|medical emergency|(?:this|it)(?:'s| is) an emergency"
    r"|life[- ]threatening|keine luft|nicht atmen|herzinfarkt|bewusstlos|krankenwagen|notarzt"
    r"|crise cardiaque|peux (?:pas|plus) respirer|inconscient\w*|une ambulance"
    r"|infarto|no (?:puedo|puede|logra) respirar|no respira|dolor en el pecho|una ambulancia"
    r"|se (?:est[aá] )?ahoga(?:ndo)?|sobredosis)\b",
    re.IGNORECASE,
)
# What says the same of a thing or of a rule.
_HARMLESS = re.compile(
    r"\blife (?:insurance|assurance|cover|polic(?:y|ies)|membership|savings)\b"
    r"|\bfire (?:alarms?|doors?|drills?|exits?|escapes?|extinguishers?|pits?|safety|sale|tests?)\b"
    r"|\b(?:app|page|phone|screen|site|system|website) (?:is|was|has been|went) unresponsive\b"
    r"|\b(?:account|website|site|system) (?:is|was|has been) (?:being )?attacked\b"
    r"|\bshot (?:down|glass(?:es)?)\b"
    r"|\b(?:suicide|self[- ]?harm) (?:awareness|policy|prevention|training)\b"
    r"|\bhurt (?:myself|himself|herself|themselves) "
    r"(?:falling|playing|slipping|tripping|(?:at|in|on) your)\b",
    re.IGNORECASE,
)
# Of someone who has died there is nothing to be done in haste.
_BEREAVED = re.compile(r"\b(?:died|dead|death|deceased|passed away|funeral)\b", re.IGNORECASE)
_PERSON = (
    r"(?:a |an |your |the |another |one of your |some )?"
    r"(?:real |actual |live |living |human |proper )*"
    r"(?:person|people|human(?: being)?|agent|representative|advis[oe]r|operator|colleague|employee"
    r"|member of (?:the |your )?(?:staff|team)|staff|customer services?|manager|receptionist)"
)
_SOMEONE = r"(?:someone|somebody|anyone|anybody)(?: (?:real|human|else))?"
_END = (
    r"(?:,? (?:please|pls|now|instead|there|here|today|directly|then|about (?:this|that|it)"
    r"|bitte|s'il vous pla[iî]t|por favor"
    r"|(?:at|from|in) (?:the|your) \w+|on the (?:phone|line)|by (?:phone|telephone)))*[\s.!?]*\Z"
)
_WISHES = tuple(
    re.compile(pattern + _END, re.IGNORECASE)
    for pattern in (
        rf"\b(?:speak|talk|chat|write|get through) (?:to|with) (?:{_PERSON}|{_SOMEONE})",
        r"\b(?:(?:put|get|connect|transfer) (?:me )?|(?:pass|hand|give|refer) me )"
        rf"(?:on |over |through )?(?:to )?{_PERSON}",
        r"(?<!\bdo i )(?<!\bdo we )(?<!\bdo you )"
        rf"\b(?:want|need|would like|i'?d like|prefer|would rather have) {_PERSON}",
        rf"\b(?:{_PERSON}|{_SOMEONE}) (?:there |here )?(?:that |who )?"
        r"i (?:can|could) (?:speak|talk) (?:to|with)",
        rf"\A(?:please )?(?:{_PERSON})",
        r"\bmit (?:einem|einer|jemand\w*)(?: (?:echten|richtigen))?"
        r"(?: (?:menschen|person|mitarbeiter\w*))? (?:sprechen|reden)",
        r"\bparler (?:à|a|avec) (?:une? (?:vraie )?(?:personne|humain|conseill\w+)|quelqu'un)",
        r"\bhablar con (?:alguien|una (?:persona|agente|asesora|empleada)"
        r"|un (?:agente|asesor|empleado|humano|ser humano))(?: (?:real|de verdad|humana))?",
    )
)


def urgent(message: str) -> Urgent | None:
    """Return which fixed text stands above the reply to a message; None: none.

    >>> urgent("he is not breathing"), urgent("I want to die"), urgent("How much is a crown?")
    ('emergency', 'self_harm', None)
    >>> urgent("how do I end my life insurance?"), urgent("there is a fire drill on Monday")
    (None, None)
    """
    text = _HARMLESS.sub(";", message.replace("’", "'"))
    if _SELF_HARM.search(text):
        return "self_harm"
    if _EMERGENCY.search(text) and not _BEREAVED.search(text):
        return "emergency"
    return None


def wants_person(message: str) -> bool:
    """Whether a message says that somebody wants to speak to a person, and nothing else.

    >>> wants_person("Can I talk to someone?"), wants_person("Can I talk to someone about a loan?")
    (True, False)
    >>> wants_person("I need an adviser"), wants_person("Do I need an adviser?")
    (True, False)
    """
    text = " ".join(message.replace("’", "'").split())
    if len(text.split(" ")) > MAX_WORDS_OF_WISH:
        return False
    return any(each.search(text) for each in _WISHES)
