"""Sentences with values: "A table for {guests}[, note: {note}]".

`{name}` is a value; a part in square brackets is left out where one of its names has no value.
Values are inserted once, as they are: a value that looks like a template stays text. A number
behind a currency sign is an amount (`amounts.py`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from groundup.actions.amounts import behind_sign

_PIECE = re.compile(r"\{([^{}]*)\}|\[([^\[\]]*)\]|[{}\[\]]")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class TemplateNames:
    """The names of a template."""

    needed: tuple[str, ...]
    """Those outside of brackets."""
    optional: tuple[str, ...]
    fault: str = ""
    """What is wrong with the template; "" where nothing is."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every name, in no order of the text."""
        return self.needed + self.optional


def template_names(template: str) -> TemplateNames:
    """Return the names of a template, and what is wrong with it.

    >>> template_names("For {guests}[, note: {note}]").optional
    ('note',)
    >>> template_names("For {guests").fault
    "has a '{' without its partner"
    """
    needed: list[str] = []
    optional: list[str] = []
    for match in _PIECE.finditer(template):
        name, part = match.groups()
        if name is None and part is None:
            return TemplateNames((), (), f"has a '{match[0]}' without its partner")
        if part is not None:
            inner = template_names(part)
            if inner.fault or not inner.needed:
                return TemplateNames((), (), inner.fault or f"has no {{name}} in [{part}]")
            optional += inner.needed
        elif _NAME.fullmatch(name):
            needed.append(name)
        else:
            return TemplateNames((), (), f"has {{{name}}}, which is no name")
    return TemplateNames(tuple(needed), tuple(optional))


def fill(template: str, said: Mapping[str, str]) -> str:
    """Return a sentence with its values; a name that is not in `said` has none.

    >>> fill("For {guests}[, note: {note}]: right?", {"guests": "4"})
    'For 4: right?'
    >>> fill("At most £{most} a day", {"most": "5000"})
    'At most £5,000 a day'
    """
    return "".join(_pieces(template, said))


def _pieces(template: str, said: Mapping[str, str]) -> Iterator[str]:
    end = 0
    for match in _PIECE.finditer(template):
        before = template[end : match.start()]
        yield before
        end = match.end()
        name, part = match.groups()
        if name is not None:
            yield behind_sign(before, said.get(name, ""))
        elif all(each in said for each in template_names(part).needed):
            yield fill(part, said)
    yield template[end:]
