"""Sections beside an answer that may hold what it lacks: "See also".

Of an answer: those with at least twice the evidence that an answer needs. Of a refusal: those that
come nearest, with less than an answer needs, but not next to nothing. How often one of them holds
the answer that was not shown was counted on used held-out sets (docs/log.md).
"""

from groundup.retrieve.answer import Answer

MAX_RELATED = 2
# Of the least evidence of an answer.
OF_ANSWERED, OF_REFUSED = 2.0, 0.3


def related_sources(answer: Answer) -> list[int]:
    """Return the numbers of the sources that are related and not cited, those with the most
    evidence first, one of each section; none that asks something of its reader.
    """
    least = answer.point.least * (OF_ANSWERED if answer.found else OF_REFUSED)
    if least <= 0:
        return []
    sections = [(each.document, each.title) for each in answer.sources]
    seen = {sections[number - 1] for number in answer.cited}
    places = range(min(len(sections), len(answer.values)))
    found: list[int] = []
    for place in sorted(places, key=lambda i: -answer.values[i]):
        if answer.values[place] < least or sections[place] in seen:
            continue
        seen.add(sections[place])
        if not answer.requests_of(place + 1):
            found.append(place + 1)
    return found[:MAX_RELATED]
