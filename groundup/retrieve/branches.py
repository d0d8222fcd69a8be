"""A conversation on one of several branches: "is there a lift?" after a question on the one at Mill
Lane is a question on that one, though it says so nowhere (`follow_up.py` reads it by itself).

    what is quoted is of a section beside     ->  asked again, with that one's heading; kept where
    the one that the turn before named            that section says as much of the question
"""

from collections.abc import Callable
from dataclasses import replace

from groundup.retrieve.answer import QuestionReading
from groundup.retrieve.referents import section_spoken_of
from groundup.retrieve.scored_statements import own_terms

Search = Callable[..., QuestionReading]


def of_section_before(search: Search, before: str) -> Search:
    """Return a search that reads a question which names no section in the one that the turn before
    named; one for a number of passages stays as it is.
    """

    def of_section(question: str, passages: int | None = None) -> QuestionReading:
        found = search(question, passages)
        if passages is not None or not found.quotes or "\n" in question:
            return found
        quoted = found.sources[found.quotes[0].source - 1]
        name = section_spoken_of(before, question, quoted, found.sources)
        if not name:
            return found
        again = search(f"{question.rstrip(' ?!.')} ({name})?")
        if not again.quotes or name not in again.sources[again.quotes[0].source - 1].title:
            return found
        asked = own_terms(question, quoted.language)
        first, second = (own_terms(each.quotes[0].text, quoted.language) for each in (found, again))
        if not first & asked <= second:
            return found
        return replace(again, question=found.question)

    return of_section
