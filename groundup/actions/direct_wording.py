"""Indirect wordings of a request in their direct form.

    "I was wondering if you could move my flight"    "can you move my flight"
    "it would help if my table could be moved"       "can my table be moved"
    "I'm writing to let you know that he is ill"     "he is ill"

Plain rules over the words, in English: they turn the sentence around and leave what is wished.
"""

import re

OPENING = (
    r"(?:(?:hi|hello|hey|hiya|dear \w+|good (?:morning|afternoon|evening)|so|and|then|ok|okay|also"
    r"|but|sorry|oh|well|yes|no|thanks|thank you|please|pls|plz|just|now|there|all|team|everyone)"
    r"\b[\s,!.:-]*)*"
)
_WHO = (
    r"(?P<who>you|u|ya|i|we|it|he|she|they|someone|somebody|anyone|anybody"
    r"|(?:my|our|his|her|the|this|that) (?:\w+ ){1,3}?|(?-i:[A-Z])\w+)"
)
_COULD = (
    r"(?:\s?(?:could|can|cud|might|may|would|will)\b|'d\b|'ll\b)"
    r"(?: (?:possibly|perhaps|maybe|kindly|please|also|just))*"
    r"(?: be (?:able|willing|happy|kind enough|so kind as) to\b)?"
)
_I = r"(?:i|we)"
_AM = rf"(?:{_I}(?:'m|'re|m| am| are| was| were|'ve been| have been) |was |just )?"
_ASKING = (
    rf"(?:{_AM}(?:just |really |also )*(?:wondering|hoping|asking|checking)"
    rf"|{_I} (?:just |do )?(?:wonder|wondered|hope)"
    rf"|{_I}(?:'d| would|d)? (?:just )?(?:like|love|want|wanted|need) to"
    r" (?:ask|check|see|know|find out)"
    r"|do you (?:think|reckon|suppose)|(?:is there )?any (?:way|chance|possibility)"
    rf"|(?:it|that)(?:'d| would| will|'ll) (?:really )?(?:help|be (?:a )?(?:\w+ )?\w+)(?: me| us)?"
    rf"|{_I}(?:'d| would|d)(?: really| very much)? (?:appreciate(?: it)?|be (?:\w+ )?(?:grateful"
    r"|glad|happy|pleased|obliged|thankful)))"
)
_SAYING = (
    rf"(?:{_I}(?:'m|'re|m| am| are)(?: just| only)? (?:writing|messaging|e-?mailing|ringing|calling"
    r"|phoning|texting|contacting you|getting in touch|here)(?: to you| you)?"
    rf"|{_I}(?:'d| would|d)? (?:just )?(?:like|want|wanted|need|have)|this is)"
)
# Each with what stands in its place.
_INDIRECT = [
    (re.compile(rf"{OPENING}{pattern}", re.IGNORECASE), place)
    for pattern, place in (
        (rf"{_ASKING}(?: if| whether| that)? {_WHO}{_COULD}\s+", r"can \g<who> "),
        (rf"(?:may|can|could|might) {_I} (?:ask|get|trouble|bother) you to ", "can you "),
        (r"(?:are you|might you be|will you be) able to ", "can you "),
        (r"(?:is there )?any (?:way|chance) (?:for me |for us )?to ", "can I "),
        (r"(?:is|would) it (?:be )?(?:at all )?(?:possible|ok|okay|all ?right)(?: for me| for us)?"
         r" to ", "can I "),
        (rf"{_SAYING} to (?:ask|request)(?: that| for)? "
         r"(?!(?:if|whether|what|when|where|who|which|why|how|you|about)\b)", "I would like "),
        (rf"(?:{_SAYING} to (?:let you know|inform you|tell you|say)"
         r"|(?:just |to )*let(?:ting)? you know|please (?:be (?:advised|informed|aware)|note that))"
         r"(?: that\b)?[,:]?\s+(?=\w+ \w+)", ""),
        (rf"{_I}(?:'m|'re|m| am| are)(?: just| only)? (?:writing|messaging|e-?mailing|ringing"
         r"|calling|phoning|texting|contacting you|getting in touch|here) to ", "please "),
    )
]  # fmt: skip


def direct(sentence: str) -> str:
    """Return a sentence that asks or tells something in a roundabout way in its direct form.

    >>> direct("I was wondering if you could possibly move my flight?")
    'can you move my flight?'
    >>> direct("Would it be possible to have a window seat"), direct("Cancel my flight")
    ('can I have a window seat', 'Cancel my flight')
    """
    for pattern, place in _INDIRECT:
        match = pattern.match(sentence)
        if match and sentence[match.end() :].strip(" .!?"):
            return " ".join((match.expand(place) + sentence[match.end() :]).split())
    return sentence
