"""JSON answers in ASCII: no line break of Unicode and no half character in what was sent can break them."""

import json
from typing import Any

from starlette.responses import JSONResponse


class JsonResponse(JSONResponse):
    """A JSON answer."""

    def render(self, content: Any) -> bytes:
        """As bytes."""
        return json.dumps(content, separators=(",", ":")).encode()
