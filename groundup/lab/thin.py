"""Where a model is too small, or too little trained, for a view to show what it is about: said in words, with the figures.

too_thin("heads", view)   ->  "No head of this model ...", or "" where there is something to see
"""

from collections.abc import Callable, Mapping
from typing import Any

from groundup.lab.head_patterns import NAMED

# The first token is looked at for want of something to say: no habit to look for.
LOOKED_FOR = ("previous", "same", "induction")
# Neighbours of a word's own kind that say something: a fifth of them.
FEW_OF_A_KIND = 0.2


def too_thin(name: str, view: Mapping[str, Any]) -> str:
    """One sentence where the view has nothing to show, else ""."""
    return THIN[name](view) if name in THIN else ""


def _heads(view: Mapping[str, Any]) -> str:
    best = {kind["kind"]: kind["best"][0]["score"] for kind in view["kinds"] if kind["kind"] in LOOKED_FOR}
    if any(score > NAMED for score in best.values()):
        return ""
    shares = ", ".join(f"{kind} {100 * score:.0f} %" for kind, score in best.items())
    return (
        f"No head of this model gives half of its attention to the token before, to copies of the same token or to what followed them "
        f"(the best heads: {shares})."
    )


def _kinds(view: Mapping[str, Any]) -> str:
    found = view["vocabulary"]
    judged = [kind for kind, score in found["kinds"].items() if score["judged"]]
    if found["share"] is not None and found["share"] >= FEW_OF_A_KIND:
        return ""
    told = (
        "none of them"
        if found["share"] is None
        else f"of their neighbours {100 * found['share']:.0f} % are of their kind"
    )
    return f"Kinds of which this vocabulary has three words whole: {len(judged)} of {len(found['kinds'])}; {told}."


THIN: dict[str, Callable[[Mapping[str, Any]], str]] = {"heads": _heads, "kinds": _kinds}
