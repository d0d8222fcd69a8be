"""JSON responses in ASCII: Unicode line breaks and lone surrogates can't break them."""

import json
from typing import Any

from starlette.responses import JSONResponse


class JsonResponse(JSONResponse):
    """A JSON response."""

    def render(self, content: Any) -> bytes:
        """Return `content` as bytes."""
        return json.dumps(content, separators=(",", ":")).encode()
