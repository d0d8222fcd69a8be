"""Caller: whose conversation with an assistant it is. Without what answers it: a server without an
index names callers, too.
"""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """Whose conversation it is, as far as nothing may be done twice, nor for someone else."""

    conversation: str = ""
    """An id that no other conversation has; "": two with the same words are one, for an hour."""
    client: str = ""
    """Who asks without an id, so that the same words of others are another conversation."""
    customer: str | None = None
    """Who is signed in, by the operator's front end; None: unknown."""

    @property
    def owner(self) -> str:
        """Who alone may delete what is kept of the conversation."""
        return json.dumps([self.client, self.customer])
