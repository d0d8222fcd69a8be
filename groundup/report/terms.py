"""Terms of the field, explained where the page first uses them: a short line for each, in the part of the page that needs it.

    explain([header, section, section])   adds to each part a list of the terms that no part before it has explained

The page is searched for them after it was made, so a term in a stage's result or in a chapter of one run alone is explained too.
Texts of others (documents, messages, answers) and code are not searched.
"""

import re
from collections.abc import Sequence

from groundup.markup import Node, node

# term as the page shows it: (how it is found in a text, what it means)
TERMS: dict[str, tuple[str, str]] = {
    "parameters": (r"\bparameters\b", "the numbers that training sets; a model is these and the order in which it computes with them"),
    "token": (r"\btokens?\b", "a piece of text, a word or a part of one, that has a number of its own"),
    "vocabulary": (r"\bvocabular(?:y|ies)\b", "all tokens that a model knows"),
    "loss": (r"\bloss\b", "surprise at the token that came: minus the logarithm of the probability the model gave it; lower is better"),
    "nats": (r"\bnats?\b", "the unit of a loss taken with the natural logarithm; 1 nat is 1.44 bits"),
    "bits per byte": (r"\bbits (?:per|a) byte\b", "the loss for each byte of text, in bits: models with other tokens can be compared in it"),
    "validation, held-out": (r"\bvalidation\b|\bheld[- ]out\b", "text kept aside and never trained on, so that learning by heart does not count"),
    "95 % interval": (r"95\s% interval|, n = \d", "where the true figure lies in 95 of 100 such measurements; the fewer examples, the wider"),
    "fine-tuning": (r"\bfine-tun(?:ing|ed)\b", "training a finished model a little further, on one task"),
    "LoRA": (r"(?i:\blora\b)", "fine-tuning of two small matrices beside each large one, which itself stays as it was"),
    "baseline": (r"\bbaselines?\b", "a simpler method, measured on the same examples"),
    "TF-IDF": (r"\bTF-IDF\b", "how often each word (or group of letters) stands in a text, counted for more where it is rare elsewhere"),
    "logistic regression": (r"\blogistic regression\b", "a classifier that sums weighted counts and turns the sum into a probability"),
    "ham": (r"\bham\b", "a message that is not spam"),
    "F1": (r"\bF1\b", "one figure for finding the spam (recall) and calling nothing else spam (precision); 1 is perfect"),
    "llama.cpp": (r"\bllama\.cpp\b", "a widely used program that runs models on ordinary computers"),
    "GGUF": (r"\bGGUF\b", "the file format that llama.cpp and Ollama read: weights, vocabulary and settings in one file"),
    "Modelfile": (r"\bModelfile\b", "Ollama's description of a model: its file and how a conversation is written out"),
    "SHA-256": (r"\bSHA-256\b", "a fingerprint of a file: 64 digits, others as soon as one byte is another"),
}  # fmt: skip
PATTERNS = {term: re.compile(pattern) for term, (pattern, _) in TERMS.items()}
# Elements with texts of others, or code.
NOT_SEARCHED = ("blockquote", "article", "q", "pre", "code")
# A name of a model or a file is shorter, a message is longer.
NAME_CHARACTERS = 60


def explain(parts: Sequence[Node]) -> None:
    """Add to each part of the page the terms that stand first in it: below its first line (`see`), or at its end."""
    known: set[str] = set()
    for part in parts:
        found = terms_in(_words(part), known)
        if not found:
            continue
        known.update(found)
        rows = [node("div", node("dt", term), node("dd", TERMS[term][1])) for term in found]
        place = next((index + 1 for index, child in enumerate(part) if child.get("class") == "see"), len(part))
        part.insert(place, node("dl", rows, class_="terms"))


def terms_in(words: str, known: set[str]) -> list[str]:
    """The terms of a text that are not known, and those that their explanations use, in the order of TERMS."""
    found: set[str] = set()
    searched = words
    while new := {term for term in TERMS if term not in known | found and PATTERNS[term].search(searched)}:
        found |= new
        searched = " ".join(TERMS[term][1] for term in new)
    return [term for term in TERMS if term in found]


def _words(part: Node) -> str:
    """A part's own text, without texts of others."""
    if part.tag in NOT_SEARCHED or (part.tag == "bdi" and len(part.text or "") > NAME_CHARACTERS):
        return ""
    pieces = [part.text or ""]
    for child in part:
        pieces += [_words(child), child.tail or ""]
    return " ".join(pieces)
