"""KeptResponses: the latest responses, so that a request can follow one (`previous_response_id`) or
name one of its items (`item_reference`).

They are in memory only, bounded in number and size, oldest first to go; `store: false` keeps
nothing. Who knows an id, which is random, may read it.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from groundup.http.json_object import JsonObject
from groundup.http.limits import Limits
from groundup.serve.requests import RequestError


@dataclass(frozen=True)
class KeptResponse:
    """A response, and the conversation that ends with it."""

    response: JsonObject
    items: tuple[JsonObject, ...]
    """Its input and its output, without instructions."""
    characters: int
    """Of both, as JSON."""


class KeptResponses:
    """Responses and the items of their outputs, by their ids."""

    def __init__(self, limits: Limits) -> None:
        self._most, self._most_characters = limits.kept_responses, limits.kept_characters
        self._kept: OrderedDict[str, KeptResponse] = OrderedDict()
        self._items: dict[str, JsonObject] = {}
        self._characters = 0

    def keep(self, response: JsonObject, asked: Sequence[JsonObject]) -> None:
        """Keep a response to these items, if it is not too large."""
        characters = len(json.dumps([response, asked]))
        kept = KeptResponse(response, (*asked, *response["output"]), characters)
        if kept.characters > self._most_characters:
            return
        self._kept[response["id"]] = kept
        self._items |= {item["id"]: item for item in response["output"]}
        self._characters += kept.characters
        while self._characters > self._most_characters or len(self._kept) > self._most:
            self.remove(next(iter(self._kept)))

    def find(self, id: str, param: str | None = None) -> KeptResponse:
        """Return a response. Raises RequestError (404) for one that is not kept."""
        if id not in self._kept:
            problem = f"response {id[:120]!r} not found"
            known = f"the latest {self._most} are kept while the server runs"
            raise RequestError(
                f"{problem}; {known}", status=404, code="response_not_found", param=param
            )
        return self._kept[id]

    def remove(self, id: str) -> None:
        """Forget a response. Raises RequestError (404)."""
        kept = self.find(id)
        del self._kept[id]
        self._characters -= kept.characters
        for item in kept.response["output"]:
            del self._items[item["id"]]

    def item(self, id: str) -> JsonObject | None:
        """Return an item of the output of a response that is kept, or None."""
        return self._items.get(id)
