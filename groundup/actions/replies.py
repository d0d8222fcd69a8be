"""What a short reply says: yes, no, leave it, undo it.

A reply counts only where wordings of its kind cover it from its first word to its last ("yes, but
at 8" is no yes); fillers ("please", "thanks") may stand between.
"""

import re
from functools import lru_cache
from typing import Literal

from groundup.actions.reply_wordings import HESITATES, WORDINGS
from groundup.language.terms import words

_Kind = Literal["filler", "yes", "done", "no", "leave", "undo", "wait"]
_IT = r"(?:it|that|this|them|one|all|everything|(?:the|my|our) [a-z]+)"
_ALL = (
    r"(?:that|it|this|all|everything|they|those|all of (?:it|that|this)"
    r"|(?:all )?(?:the|those|these|your) details)"
)
_IS_IT = r"(?:that|it|this)(?:'?s| is)"
# Each is matched with words in small letters, one space between.
_WORDINGS: dict[_Kind, tuple[str, ...]] = {
    "filler": (
        "please|pls|plz|(?:many )?thanks(?: a lot| so much| for \\w+)?|thx|ta|ty|cheers|then|ok",
        "(?:i |we )?thank (?:you|u)(?: (?:very|so) much| kindly| for (?:your )?\\w+)?|okay|well",
        "(?:(?:best|kind|warm) )?(?:regards|wishes)|(?:yours )?(?:sincerely|faithfully)",
        "good question|(?:oh )?dear|i see|no (?:problem|worries)",
        "oh|hm+|ah|sorry|actually|wait|oops|just|now|so|and|i think|for me|again|hi|hello|all",
        "great|wonderful|lovely|already|finally|at last|damn(?: it)?|good riddance",
        "for [a-z]+'?s?'? sake",
        "on (?:second thoughts?|reflection)|hang on|hold on|after all",
        "if you (?:would|could|please|don'?t mind|wouldn'?t mind)|m+|mate|love",
    ),
    "yes": (
        "yes+|yeah+|yea|yeh|yh|ye|yep|yup|ya|y|ja|oui|si|aye|mhm|uh huh|certainly|absolutely",
        "ok(?:ay|ey|e|ie)?|okey dokey|okie dokie|k|sure|of course|definitely|obviously|naturally",
        "i(?:'m| am) (?:sure|certain|positive)|right(?: you are)?|correct|indeed|affirmative",
        "quite so|just so|i(?:'?ll)? (?:accept|take)(?: (?:it|that|this))?|i'?m happy(?: to)?",
        "you(?:'?ve| have)? (?:understood|got)(?: (?:me|it|that|everything))?"
        " (?:right|correctly|perfectly|exactly)",
        "(?:all|everything)(?:'?s| is)? as (?:it should be|i (?:said|want(?:ed)?|asked))",
        "(?:that|this)(?: one)? (?:too|as well)|(?:the )?same again|both(?: please)?",
        "by all means|very well|al(?:l |l)?right|fair enough|do so",
        "(?:please|kindly) do(?: so)?",
        "(?:please )?proceed|carry on|go(?: ahead| for it| on)?(?: then)?|you (?:may|can)",
        "(?:i )?confirm(?:ed)?(?: (?:it|that|this|everything))?|i agree|agreed|exactly|why not",
        rf"(?:{_ALL}(?:'?s| is| are| looks?| sounds?| seems?)? )?(?:looks |sounds )?"
        r"(?:(?:all|quite|very|absolutely|perfectly|just|exactly) )?"
        r"(?:right|correct|fine|good|great|perfect|ok(?:ay)?|in order|spot on|lovely|ideal|accurate"
        r"|brilliant|wonderful|excellent|the (?:right )?one)(?: (?:to|by|with|for) (?:me|us))?",
        rf"{_ALL}(?:'?s| is) (?:it|(?:exactly |just )?what i (?:want|wanted|meant|said|need))",
        "(?:i'?d like|i want) (?:that|it)|(?:yes )?i do|do|(?:i(?:'m| am) )?happy with (?:that|it)",
        r"(?:that|it|this)(?:'d| would|'ll| will) (?:do|work|suit me|be (?:great|good|fine|perfect"
        r"|lovely|ideal|wonderful|brilliant))(?: nicely| well| fine)?",
        "(?:(?:that|it|this) )?(?:works|suits)(?: for)?(?: me| us)?(?: well| fine)?|that'?ll do",
        "let'?s (?:do (?:it|that|this)|go)|make it so|submit|get (?:it|that|this) (?:done|sent|in)",
        "(?:do|book|send|add|change|make|move|order|report|save|confirm|submit|put|extend"
        "|record|set|sort"
        "|note|register|reserve|file) (?:it|that|this|them)(?: (?:for me|in|down|up|through|off))?",
    ),
    # Behind a yes, whatever is to be done: "cancel it" alone leaves what is under way.
    "done": (
        r"(?:(?:you|can you|could you)(?: can| may)? )?(?!(?:not|don|leave|forget|drop|skip"
        r"|never|on|at|in|for|by|to|of|with|from|but|except|without|minus"
        r"|unless|if|only|before|after"
        rf"|scrap)\b)\w+ {_IT}(?: (?:for me|in|down|up|off|through))?",
    ),
    "no": (
        "no+|nope|nah|naw|n|nein|non|never|don'?t|do not|wrong|incorrect",
        "(?:i'?d )?(?:rather|better) not|i (?:don'?t|do not) think so|out of the question",
        "(?:certainly|definitely|absolutely|of course) not",
        "not (?:now|yet|really|quite|today|right|correct|that)|no need|no way",
        rf"{_IS_IT} (?:not(?: (?:right|correct|it))?|wrong|incorrect|false)",
        r"(?:that|it|this) (?:isn'?t|is not) (?:right|correct|it|what i (?:said|want(?:ed)?"
        r"|meant))",
        rf"{_IS_IT} not what i (?:said|want(?:ed)?|meant)",
        rf"(?:don'?t|do not) \w+ {_IT}|i (?:don'?t|do not) (?:want|need) (?:to|that|it|this)",
    ),
    "leave": (
        "(?:leave|forget|drop|skip|scrap|stop|abort|cancel|quit|exit|end|ignore)"
        "(?: (?:about )?(?:it|that|this|everything|the whole thing))?"
        "(?: (?:for (?:now|today)|alone|as (?:it|they) (?:is|was|are|were)))?",
        "(?:i'?ll |let me |i'?d (?:better|rather) |we'?ll )?keep (?:it|that|them|(?:the|my) [a-z]+)"
        "(?: as (?:it|they) (?:is|was|are|were))?",
        "(?:i(?:'?ll| will| need to| have to| want to)|let me) think(?: about it| it over)?",
        "i'?ll (?:ring|call|phone)(?: you| them)?(?: instead)?|i'?ll do it myself",
        "(?:that'?s |it'?s )?(?:far |much )?too (?:expensive|dear|much)",
        "never ?mind|nvm|not (?:any ?more|any longer)|(?:it'?s )?no longer (?:needed|necessary)",
        "let'?s not|that(?:'?s| is| will be) (?:all|everything)(?: for (?:now|today))?",
        "nothing else",
        "don'?t bother|let'?s leave it(?: for (?:now|today))?",
        "(?:i(?:'?ve)? )?changed my mind|i give up",
        "i (?:don'?t|do not) (?:want|need) (?:it|that|this|to)(?: any ?more)?",
        "(?:it|that)(?: does|'?s)?(?:n'?t| not)? matter(?: any ?more)?|(?:maybe )?later"
        "|(?:maybe )?another time(?: perhaps)?",
        "some other time|start (?:again|over)",
    ),
    "wait": (
        "(?:(?:just|give me|wait|hang on|hold on) )*(?:a|one|1|half a) (?:mo|moment|sec|second"
        "|minute|min|mins|tick)",
        "wait|hang on|hold on|bear with me|where (?:do|shall|should) i (?:start|begin)|let me see",
        "(?:let me|i(?:'?ll| will| must| need to| have to)) (?:just )?(?:look|check|think|find|get"
        "|ask|fetch|see|count|dig)(?: \\w+){0,3}",
        "(?:need|have|got) to (?:just )?(?:look|check|find|count|dig|ask (?:my|him|her|them))"
        "(?: \\w+){0,3}",
        "(?:i'?m |i am )?(?:just )?(?:looking|checking|thinking)(?: \\w+){0,3}|not sure(?: yet)?",
        "i (?:don'?t|do not) know(?: yet)?|no idea",
    ),
    "undo": (
        r"undo(?: (?:it|that|this|(?:the|my) \w+))?|revert"
        r"|(?:take|put|turn) (?:it|that|this|(?:the|my|that) \w+) (?:back|(?:back )?off)",
        "(?:cancel|revert|reverse|delete|remove) (?:it|that|this)(?: again)?|that was a mistake|no",
        r"(?:can|could|would|will) you (?:please )?(?:undo|cancel|revert|reverse|delete|remove)"
        r" (?:it|that|this)(?: again)?",
    ),
}
_PATTERNS = {
    kind: re.compile("|".join((*each, *WORDINGS[kind]))) for kind, each in _WORDINGS.items()
}
_SIGNS = {"👍": " yes ", "✅": " yes ", "👌": " yes ", "👎": " no ", "❌": " no "}
# Of programs, not of people who say yes: `[confirm = ""]`.
_MARKUP = re.compile(r"[\[\]{}<>=|\\]")
_YES_AND_MORE = re.compile(
    r"\W*(?:yes+|yeah|yep|yup|sure|ok(?:ay)?)\b(?!.*\b(?:no|not|\w+n't|never|later|leave|stop)\b)",
    re.IGNORECASE | re.DOTALL,
)
_SENTENCES = re.compile(r"(?<=[.!;])\s+")
# Where a sentence or clause of a reply begins.
_PARTS = re.compile(r"[.!;,\n]+\s*|\s+-+\s+")
_AGREED = re.compile(
    r"(?:(?:and|oh|ah|aw|haha|lol|ok|okay|right|well|great|brilliant|perfect|lovely)\s+)*"
    r"(?:yes+|yeah+|yea|yeh|yh|ye|yep|yup|aye|do it"
    r"|(?:please )?(?:go (?:ahead|for it|on)|proceed))\b"
    r"(?!\s+or\b)",
    re.IGNORECASE,
)
# What is said beside a yes and means nothing else.
_COURTESY = re.compile(
    r"\b(?:(?:that|it|this)(?: would|'d|d| will|'ll) (?:suit|work|do|be (?:\w+ )?(?:lovely|great"
    r"|good|perfect|fine|brilliant|wonderful|ideal))(?: for)?(?: (?:me|us)\b)?"
    r"(?: (?:very )?(?:well|nicely|fine)\b)?"
    r"|(?:that|it)(?: would|'d) be (?:a|such a) (?:\w+ )?(?:relief|help|load|weight|blessing|treat)"
    r"(?: off (?:my|our) (?:mind|shoulders|chest))?"
    r"|(?:that|it)(?:'?s| is) (?:just |exactly )?what (?:(?:the|my|our) )?[a-z]+"
    r" (?:say|says|said|want|wants|wanted|need|needs|meant|ordered)"
    r"|sorry (?:for|about) (?:all )?(?:the|any|your) (?:trouble|bother|fuss|hassle|wait|delay)"
    r"|no (?:problem|worries|bother|rush|hurry)|(?:it|that) can'?t be helped"
    r"|if (?:that|it)(?:'?s| is)(?: all)? (?:ok(?:ay)?|all ?right|fine|possible)"
    r"(?: (?:with|by) you)?"
    r"|if (?:you (?:would|could|can|please|don'?t mind)|i may|possible|not too much trouble)"
    r"|i(?:'d| would| should) be (?:\w+ )?(?:grateful|obliged|glad|thankful))\b"
    # "cancel it, how often must I say it?"
    r"|\bhow (?:often|many (?:more )?times) (?:must|do|did|should|have) i (?:have to |need to |got to )?"
    r"(?:say|said|tell|told|repeat|ask)\w*\b[^?.!]*\?"
    # "... and heaven help you if it goes wrong again"
    r"|\b(?:god|heaven|lord) help (?:you|us|me)\b[^?]*\Z",
    re.IGNORECASE,
)
# What takes a yes back, binds it to something, or only reports one.
_HESITATES = re.compile(
    r"\?\s*\Z|[\"“”„«»:*_~#`/]"
    r"|\b(?:do|does|did|is|are|was|were|wo|ca|would|could|should|have|has|had|must|need)n'?t\b"
    r"|\b(?:no|nope|not|never|neither|nor|none|wait|hold|hang|but|unless|if|when|once|instead"
    r"|rather|except|only|later|leave|stop|drop|forget|skip|until|till|first|before|after|actually"
    r"|maybe|perhaps|think\w*|suppose|said|says|say|told|confirmed|already|pretend|imagine|assume"
    r"|would|could|should|might|cannot|undo|change|make|also|different|another|other|every\w*"
    r"|each|twice|times|what|whats|how|hows|where|who|why|which|tell|explain|sorry|hmm+|mean|meant"
    r"|ignore|system|admin|staff|free|waive\w*"
    r"|(?<!the )one|two|three|four|five|six|seven|eight|nine|ten)\b",
    re.IGNORECASE,
)
MAX_AGREEING = 16
# A name of several words alone in the last line of a mail; no "Saturday Evening".
_NAME_PART = r"[A-ZÀ-ÖØ-Þ](?:[^\W\d_]|['’-])*\.?"
_SIGNATURE = re.compile(rf"[.!,]?\s*\n\s*(?!.*day\b){_NAME_PART}(?: {_NAME_PART}){{1,3}}\s*\Z")
# "please" to "Shall I?", and "freeze it, please" to "Shall I freeze it?".
_PLEASE = re.compile(
    r"\W*(?:oh )?(?:please|pls|plz)(?: (?:do|thanks|thank you))?\W*", re.IGNORECASE
)
_ASKED = re.compile(r"\b[Ss]hall I (\w+)(?: \w+){0,12}\?\s*\Z")
_DOING = re.compile(
    r"\W*(?:(?:please|pls|just|then|now|so|you can|yes)\W+)*(\w+) (?:it|that|this|them)"
    r"(?:\W+(?:please|pls|then|now|for (?:me|us)|thanks|thank you))*\W*",
    re.IGNORECASE,
)
# Numbers, and words with a capital within a sentence.
_NAMED = re.compile(r"\d+|(?<=[^\s.!?,;] )[A-ZÀ-ÖØ-Þ]\w+")
# Where a reason may follow.
_REASON = re.compile(
    r"[,;.!]\s+|\s+-+\s+|\s+(?:because|cause|cos|as|since|so|for)\s+", re.IGNORECASE
)
# "No, I want ..." and "no I don't", but not "no eggs and no milk".
_NO_AND_MORE = re.compile(
    r"\W*(?:nope|nah|no(?=\W*\Z|\s*[,.;!:-]|\s+(?:i|i'm|that|that's|thats|it|it's|its|this|we|you"
    r"|not|thanks?|thank|sorry|wait|please|way|don'?t)\b))\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\A\W*(?:no|nope|not|neither|nein|non)\b|\b(?:neither|none)\b|\b(?:don't|dont|do not)\s+"
    r"(?!(?:know|mind|care|understand|have|think|see|remember|get|worry|need|want)\b)",
    re.IGNORECASE,
)
# The first and the last part of a reply, where another one is left.
_LEADING = re.compile(r"\s*([^.!?,;:]+)(?:[.!;,:]+\s+|\s+-+\s+)(?=\S)")
_TRAILING = re.compile(
    r"(?:[.!;,]+|\s-+|(?=\s+(?:please|pls|thanks|thx)\W*\Z))\s*([^.!?,;]+)[.!]*\Z"
)
_WORD = re.compile(r"\w+(?:'\w+)*")
MAX_WORDS, MAX_WORDING = 14, 7


def reads_yes(message: str) -> bool:
    """Whether a message says yes and nothing else.

    >>> reads_yes("Yes please, book it"), reads_yes("yes, but at 8"), reads_yes("ok?")
    (True, False, False)
    """
    if message.rstrip().endswith("?"):
        return False
    said = _kinds(message, ("yes", "filler"))
    return (
        "yes" in said
        or bool(_PLEASE.fullmatch(message))
        or {"yes", "done"} <= _kinds(message, ("yes", "done", "filler"))
    )


def unsigned_yes(message: str) -> str:
    """Return a message without the name below it where what stands above is a yes.

    >>> unsigned_yes("Yes, please go ahead.\\n\\nAda Reid"), unsigned_yes("For\\nAda Reid")
    ('Yes, please go ahead', 'For\\nAda Reid')
    """
    above = _SIGNATURE.sub("", message)
    return above if reads_yes(above) else message


def begins_with_yes(message: str) -> bool:
    """Whether a message says yes and then more: enough to begin what will be confirmed by itself.

    >>> begins_with_yes("Yes, on Friday at 10"), begins_with_yes("yes, but not now")
    (True, False)
    """
    return _YES_AND_MORE.match(message) is not None and not _MARKUP.search(message)


def agrees(message: str, shown: str = "") -> bool:
    """Whether a message says yes to what was shown and something beside it that takes nothing back:
    no denial, condition, question, quotation, or number or name that was not shown.

    >>> agrees("haha suit yourself. yes order it please"), agrees("yes 50", "£50 a day?")
    (True, True)
    >>> agrees("yes, but at 8"), agrees("yes?"), agrees("yes 50", "£30 a day?")
    (False, False, False)
    """
    text = _COURTESY.sub("", message.replace("’", "'")).strip()
    sentences = _SENTENCES.split(text)
    beside = " ".join(each for each in sentences if len(sentences) < 2 or not reads_yes(each))
    if len(words(text)) > MAX_AGREEING or _HESITATES.search(beside) or _MARKUP.search(text):
        return False
    if HESITATES.search(beside):
        return False
    known = {*words(shown), *re.findall(r"\d+", shown)}
    if not {each.lower() for each in _NAMED.findall(text)} <= known:
        return False
    if _is_as_asked(message, shown):
        return True
    parts = _PARTS.split(text)
    return any(_AGREED.match(part) for part in parts) or any(map(reads_yes, parts))


def _is_as_asked(message: str, shown: str) -> bool:
    """Whether a message orders what was asked: "freeze it, please"; not "cancel it", which may mean
    either.
    """
    asked, order = _ASKED.search(shown), _DOING.fullmatch(message)
    if asked is None or order is None or reads_cancel(message):
        return False
    return asked[1].lower() == order[1].lower()


def reads_no(message: str) -> bool:
    """Whether a message says no and nothing else, not "no, leave it", which is `reads_cancel`.

    >>> reads_no("No thanks"), reads_no("no, Saturday"), reads_no("that's not right")
    (True, False, True)
    """
    return "no" in _kinds(message, ("no", "filler"))


def denies(message: str) -> bool:
    """Whether a message begins with no, or says that something is not to be done.

    >>> denies("hang on, don't cancel it"), denies("not the first one"), denies("the first one")
    (True, True, False)
    """
    return _DENIAL.search(message.replace("’", "'")) is not None


def begins_with_no(message: str) -> bool:
    """Whether a message begins with a no of its own, which is no word of a list.

    >>> begins_with_no("No, that's wrong"), begins_with_no("No meat and no fish")
    (True, False)
    """
    return _NO_AND_MORE.match(message.replace("’", "'")) is not None


def refuses(message: str) -> bool:
    """Whether a message denies, and is no question and no yes: "oh hang on, don't cancel it"."""
    is_question = message.rstrip().endswith("?")
    return denies(message) and not is_question and not begins_with_yes(message)


def reads_cancel(message: str) -> bool:
    """Whether a message says that what is under way is not wanted any more.

    >>> reads_cancel("never mind"), reads_cancel("no, forget it"), reads_cancel("cancel my table")
    (True, True, False)
    >>> reads_cancel("no idea, leave it"), reads_cancel("hang on, no idea")
    (True, False)
    """
    return "leave" in _kinds(message, ("leave", "no", "filler", "wait")) and not reads_no(message)


def reads_wait(message: str) -> bool:
    """Whether a message only says that an answer is to follow.

    >>> reads_wait("hang on, need to find the text"), reads_wait("not sure yet, let me count")
    (True, True)
    >>> reads_wait("a blue hat"), reads_wait("I need to cancel it")
    (False, False)
    """
    return "wait" in _kinds(message, ("wait", "filler"))


def reads_courtesy(message: str) -> bool:
    """Whether a message only thanks, greets or fills.

    >>> reads_courtesy("Thank you."), reads_courtesy("a blue hat")
    (True, False)
    """
    return _kinds(message, ("filler",)) == {"filler"}


def without_courtesy(text: str) -> tuple[int, int]:
    """Return where the text of a reply begins and ends, without what only fills or thanks.

    >>> reply = "Thanks for asking. It's red, with a zip, thank you"
    >>> reply[slice(*without_courtesy(reply))]
    "It's red, with a zip"
    """
    start, end = 0, len(text.rstrip())
    while (lead := _LEADING.match(text, start, end)) and _fills(lead[1]):
        start = lead.end()
    while (trail := _TRAILING.search(text, start, end)) and _fills(trail[1]):
        end = trail.start()
    return start, end


def _fills(part: str) -> bool:
    return bool(_kinds(part, ("filler", "yes", "wait")))


def reads_undo(message: str) -> bool:
    """Whether a message says that what was just done shall be undone.

    >>> reads_undo("undo that please"), reads_undo("cancel that"), reads_undo("cancel my table")
    (True, True, False)
    >>> reads_undo("actually can you cancel that?")
    True
    """
    found = _kinds(message, ("undo", "filler"))
    return "undo" in found and not reads_no(message)


def beside_undo(message: str) -> str:
    """Return what a message says beside the sentence or clause that undoes what was just done; all of
    it where none does.

    >>> beside_undo("I have my passport here and it is Priya. Undo that please")
    'I have my passport here and it is Priya.'
    >>> beside_undo("undo that please, he's just told me"), beside_undo("no, at 8")
    (", he's just told me", 'no, at 8')
    """
    first, sentences = _REASON.split(message, maxsplit=1)[0], re.split(r"[.!?;]\s+", message)
    parts = (first, *sentences, *(_REASON.split(each, maxsplit=1)[0] for each in sentences))
    undoing = (each for each in parts if each != message and reads_undo(each))
    part = next(undoing, "")
    return message.replace(part, "", 1).strip() if part else message


@lru_cache(maxsize=256)
def _kinds(message: str, allowed: tuple[_Kind, ...]) -> frozenset[_Kind]:
    """Return the kinds of the wordings that cover a message, of those allowed, each as early in the
    order as it can be; none where something is left over.
    """
    if _MARKUP.search(message):
        return frozenset()
    for sign, word in _SIGNS.items():
        message = message.replace(sign, word)
    found = _WORD.findall(message.replace("’", "'").lower())
    if not found or len(found) > MAX_WORDS:
        return frozenset()
    covered: list[frozenset[_Kind] | None] = [frozenset(), *[None] * len(found)]
    for end in range(1, len(found) + 1):
        for start in range(max(0, end - MAX_WORDING), end):
            before = covered[start]
            if before is None:
                continue
            wording = " ".join(found[start:end])
            kind = next((each for each in allowed if _PATTERNS[each].fullmatch(wording)), None)
            if kind is not None and (
                covered[end] is None or len(before) >= len(covered[end] or ())
            ):
                covered[end] = before | {kind}
    return covered[-1] or frozenset()
