"""A teacher behind an OpenAI-compatible address: `POST ADDRESS/chat/completions`.

The key is that of the environment variable KEY_VARIABLE, and is sent to this address alone: no
redirect is followed.
"""

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import Message as Headers
from typing import IO, Any
from urllib.parse import urlsplit

from groundup.errors import ConfigError, NetworkError
from groundup.files import sha256_text

KEY_VARIABLE = "GROUNDUP_TEACHER_KEY"
CALL_LIMIT_S, MAX_BYTES, REASON_CHARACTERS = 600.0, 2**22, 200
# Seconds before an answer is asked for again, where the server is busy or fails.
WAITS_S = (1.0, 4.0, 15.0)
BUSY = (408, 429, 500, 502, 503, 504)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Headers, newurl: str
    ) -> None:
        """A redirect is an error."""


@dataclass(frozen=True)
class RemoteTeacher:
    """Thread-safe. Raises ConfigError for an address that is none, or without a model's name."""

    address: str
    """With the version: https://host/v1."""
    model: str
    key: str = field(repr=False)
    max_tokens: int
    temperature: float

    def __post_init__(self) -> None:
        if not urlsplit(self.address).hostname:
            raise ConfigError(
                f"teacher {self.address} names no host.", fix="Write https://HOST/v1."
            )
        if not self.model:
            raise ConfigError(
                f"teacher {self.address} needs the name of a model there.", fix="Add teacher_model."
            )

    @property
    def identity(self) -> dict[str, str | int | float]:
        settings = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        return {"teacher": self.model, "address": self.address, **settings}

    def ask(self, messages: Sequence[dict[str, str]]) -> tuple[str, bool]:
        """Return the answer, and whether it is whole. Raises ConfigError (key, model), NetworkError
        (no answer, an answer in another form).
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        if self.temperature:
            body["seed"] = int(sha256_text(json.dumps(body))[:8], 16) >> 1
        for wait_s in (*WAITS_S, None):
            try:
                return _read(self._post(body))
            except urllib.error.HTTPError as error:
                if error.code not in BUSY or wait_s is None:
                    raise self._refused(error) from error
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                raise NetworkError(
                    f"The teacher at {self.address} does not answer: {reason}.",
                    fix="Start it, or name another address.",
                ) from error
            except (LookupError, TypeError, ValueError) as error:
                raise NetworkError(
                    f"The teacher at {self.address} answers in another form than OpenAI's "
                    f"chat/completions ({error!r}).",
                    fix="Name the address that ends in the version, as https://HOST/v1.",
                ) from error
            time.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if urlsplit(self.address).hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        url = f"{self.address.rstrip('/')}/chat/completions"
        request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
        opener = urllib.request.build_opener(*handlers)
        with opener.open(request, timeout=CALL_LIMIT_S) as response:
            return json.loads(response.read(MAX_BYTES))

    def _refused(self, error: urllib.error.HTTPError) -> ConfigError | NetworkError:
        with error:
            said = error.read(2**16).decode("utf-8", "replace")
        with contextlib.suppress(LookupError, TypeError, ValueError):
            said = str(json.loads(said)["error"]["message"])
        said = " ".join(said.split())[:REASON_CHARACTERS]
        if error.code in (401, 403):
            what, fix = "refuses the key", f"Set the environment variable {KEY_VARIABLE}."
            if not self.key:
                what = "wants a key"
            return ConfigError(f"The teacher at {self.address} {what} ({error.code}).", fix=fix)
        message = f"The teacher at {self.address} answers {error.code} to {self.model}: {said}"
        if error.code in BUSY:
            return NetworkError(message, fix="Try again later: what was answered is kept.")
        return ConfigError(message, fix="Check the address (https://HOST/v1) and the model's name.")


def _read(answer: Any) -> tuple[str, bool]:
    choice = answer["choices"][0]
    text = choice["message"].get("content") or ""
    return str(text).strip(), choice.get("finish_reason") != "length"
