"""How written answers are measured: (item, answer) -> a (total, count) for each metric. Pure
functions.

check_format  whether an answer has the format that was asked for
summary       ROUGE-L and ROUGE-1 against the reference (Lin 2004), share of the key facts that are
              mentioned
translation   chrF of each sentence (Popović 2015); BLEU of the corpus (Papineni et al. 2002), both
              by sacrebleu
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from groundup.errors import MissingExtra
from groundup.evaluate.items import Count, Written
from groundup.evaluate.task import Measure

_WORD = re.compile(r"[a-z0-9]+")


def check_format(item: Written, answer: str) -> dict[str, Count]:
    assert isinstance(item.checks, Mapping)
    return {"accuracy": (follows(answer, item.checks), 1)}


def follows(answer: str, check: Mapping[str, Any]) -> bool:
    """Return whether an answer, without the spaces around it, has the format of a check; an empty
    one never has.

    >>> follows("- a\\n- b", {"type": "list", "bullet": "- ", "count": 2})
    True
    """
    answer = answer.strip()
    return bool(answer) and FORMATS[check["type"]](answer, check)


def _is_json(answer: str, check: Mapping[str, Any]) -> bool:
    try:
        found = json.loads(answer)
    except ValueError:
        return False
    return isinstance(found, dict) and sorted(found) == sorted(check["keys"])


def _lines(answer: str) -> list[str]:
    return [line.strip() for line in answer.splitlines() if line.strip()]


def _has_word(answer: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", answer, re.IGNORECASE) is not None


def _is_list(answer: str, check: Mapping[str, Any]) -> bool:
    lines = _lines(answer)
    return len(lines) == check["count"] and all(
        line.startswith(check["bullet"].rstrip()) for line in lines
    )


FORMATS: dict[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "regex": lambda answer, check: re.fullmatch(check["pattern"], answer, re.DOTALL) is not None,
    "json": _is_json,
    "lines": lambda answer, check: len(_lines(answer)) == check["count"],
    "words": lambda answer, check: check["min"] <= len(answer.split()) <= check["max"],
    "starts": lambda answer, check: answer.startswith(check["with"]),
    "list": _is_list,
    "upper": lambda answer, check: answer.isupper(),
    "lower": lambda answer, check: answer.islower(),
    "without": lambda answer, check: (
        len(answer.split()) >= 3 and not _has_word(answer, check["word"])
    ),
    "contains": lambda answer, check: all(_has_word(answer, word) for word in check["words"]),
}


def summary(item: Written, answer: str) -> dict[str, Count]:
    facts = item.checks
    assert isinstance(facts, tuple)
    mentioned = sum(any(_has_word(answer, form) for form in forms) for forms in facts)
    return {
        "rouge_l": (rouge_l(item.reference, answer), 1),
        "facts": (mentioned, len(facts)),
        "rouge_1": (rouge_n(item.reference, answer, 1), 1),
    }


def words(text: str) -> list[str]:
    """Letters a to z and digits, lower case."""
    return _WORD.findall(text.lower())


def rouge_n(reference: str, answer: str, n: int) -> float:
    """Return the F of the n-grams that both have (Lin 2004, "ROUGE: A Package for Automatic
    Evaluation of Summaries").

    >>> rouge_n("the cat sat", "the cat ran", 1)
    0.6666666666666666
    """
    first, second = (
        Counter(zip(*(words(text)[i:] for i in range(n)), strict=False))
        for text in (reference, answer)
    )
    return f_score((first & second).total(), second.total(), first.total())


def rouge_l(reference: str, answer: str) -> float:
    """Return the F of the longest common subsequence of words."""
    first, second = words(reference), words(answer)
    row = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for place, other in enumerate(second, start=1):
            longest = max(row[place], row[place - 1])
            if word == other:
                longest = before + 1
            before, row[place] = row[place], longest
    return f_score(row[-1], len(second), len(first))


def f_score(common: int, found: int, wanted: int) -> float:
    return 2 * common / max(1, found + wanted)


def translation(item: Written, answer: str) -> dict[str, Count]:
    """Raises MissingExtra (sacrebleu)."""
    from_library = sacrebleu().sentence_chrf(answer, [item.reference])
    return {"chrf": (from_library.score / 100, 1)}


def corpus_bleu(items: Sequence[Written], answers: Sequence[str]) -> list[Measure]:
    """0 to 1, with the interval of sacrebleu's bootstrap. Raises MissingExtra."""
    found = (
        sacrebleu()
        .BLEU()
        .corpus_score(list(answers), [[item.reference for item in items]], n_bootstrap=1000)
    )
    mean, half = found._mean / 100, found._ci / 100
    return [Measure("bleu", found.score / 100, mean - half, mean + half, len(items))]


def sacrebleu() -> Any:
    """Raises MissingExtra."""
    try:
        import sacrebleu as library
    except ImportError as error:
        raise MissingExtra("sacrebleu", "evaluate") from error
    return library
