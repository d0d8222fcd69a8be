"""A teacher: a model that answers prompts, so that another one learns from its answers. It is in a
folder (`LocalTeacher`) or behind an OpenAI-compatible address (`ServedTeacher`: POST
ADDRESS/chat/completions). The key is sent to that address alone: no redirect is followed.
"""

import contextlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from queue import SimpleQueue
from typing import Any, Protocol
from urllib.parse import urlsplit

from groundup.device import Compute
from groundup.engine.batch import finished_answers
from groundup.engine.generate import require_room
from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError, DataError, GroundupError, ModelError, NetworkError
from groundup.evaluate.task import language_model
from groundup.files import sha256_text
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.weights.model_io import OpenModel

KEY_VARIABLE = "GROUNDUP_TEACHER_KEY"
# Requests to a server at once, and seconds before one is sent again that was refused as BUSY.
AT_ONCE, WAITS_S = 4, (1.0, 4.0, 15.0)
CALL_LIMIT_S, MAX_BYTES, REASON_CHARACTERS = 600.0, 2**22, 200
BUSY, NO_KEY, OF_THE_PROMPT = (408, 429, 500, 502, 503, 504), (401, 403), (400, 413, 422)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Prompt = Sequence[Message]


@dataclass(frozen=True)
class TaughtAnswer:
    text: str
    is_whole: bool
    """False: it was cut at the limit of tokens."""


TeacherOutput = TaughtAnswer | GroundupError
"""An answer, or why this prompt has none."""
TeacherOutputs = Generator[tuple[int, TeacherOutput], None, None]


@dataclass(frozen=True)
class TeacherIdentity:
    """Who answers, and how."""

    teacher: str
    """The model's name."""
    source: str
    """The address, or the SHA-256 of the weights."""
    max_tokens: int
    temperature: float

    @property
    def place(self) -> str:
        return f" at {self.source}" if "://" in self.source else ""


class Teacher(Protocol):
    @property
    def identity(self) -> TeacherIdentity: ...

    def answers(self, prompts: Sequence[Prompt]) -> TeacherOutputs:
        """Yield the place of a prompt and its answer, as they come."""


@dataclass(frozen=True)
class LocalTeacher:
    """A model of ours, in float32."""

    opened: OpenModel
    compute: Compute
    max_tokens: int
    temperature: float

    @cached_property
    def identity(self) -> TeacherIdentity:
        model, _ = language_model(self.opened)
        weights = frozen_fingerprint(model.requires_grad_(False))
        name = self.opened.path.resolve().name
        return TeacherIdentity(name, weights, self.max_tokens, self.temperature)

    def answers(self, prompts: Sequence[Prompt]) -> TeacherOutputs:
        """Raises ModelError."""
        model, tokenizer = language_model(self.opened)
        asked: dict[int, list[int]] = {}
        for place, prompt in enumerate(prompts):
            talk = Conversation(tuple(prompt))
            ids = render(talk, tokenizer, add_generation_prompt=True).ids
            try:
                require_room(len(ids), model.config.context_tokens)
                asked[place] = ids
            except ModelError as error:
                yield place, error
        places, stops = list(asked), tokenizer.special.stop_ids
        samplings = [
            Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=_seed(ids))
            for ids in asked.values()
        ]
        finished = finished_answers(
            list(asked.values()),
            model.eval(),
            tokenizer,
            samplings,
            compute=self.compute,
            stop_ids=stops,
        )
        for number, text, reason in finished:
            yield places[number], TaughtAnswer(text.strip(), reason == "stop")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A redirect is an error."""


@dataclass(frozen=True)
class ServedTeacher:
    """A model behind an address. Raises ConfigError for one that is none, or without a model's
    name.
    """

    address: str
    """With the version: https://host/v1."""
    model: str
    max_tokens: int
    temperature: float
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.address)
            is_whole = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_whole = False
        if not is_whole or "@" in self.address or "?" in self.address:
            raise ConfigError(
                "`teacher` is not an address of the form https://HOST/v1 (a key in it is refused).",
                fix=f"The key goes into the environment variable {KEY_VARIABLE}.",
            )
        if not self.model:
            raise ConfigError(
                f"The teacher at {self.address} needs the name of a model there.",
                fix="Give `teacher_model`.",
            )

    @property
    def identity(self) -> TeacherIdentity:
        return TeacherIdentity(self.model, self.address, self.max_tokens, self.temperature)

    def answers(self, prompts: Sequence[Prompt]) -> TeacherOutputs:
        """Raises ConfigError, NetworkError. What is under way when it is closed is not waited
        for.
        """
        waiting = deque(enumerate(prompts))
        done: SimpleQueue[tuple[int, TeacherOutput | None, GroundupError | None]] = SimpleQueue()

        def work() -> None:
            with contextlib.suppress(IndexError):
                while True:
                    place, prompt = waiting.popleft()
                    output = failure = None
                    try:
                        output = self.ask(prompt)
                    except GroundupError as error:
                        failure = error
                    finally:
                        done.put((place, output, failure))

        for _ in range(min(AT_ONCE, len(prompts))):
            threading.Thread(target=work, daemon=True).start()
        try:
            for _ in prompts:
                place, output, failure = done.get()
                if failure is not None:
                    raise failure
                assert output is not None, "a bug, whose traceback its thread has shown"
                yield place, output
        finally:
            waiting.clear()

    def ask(self, prompt: Prompt) -> TeacherOutput:
        """Return the answer, or the error of this prompt. Raises ConfigError (address, key, model),
        NetworkError (no answer, or none that can be read).
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": each.role, "content": each.content} for each in prompt],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        if self.temperature:
            body["seed"] = _seed(body)
        for wait_s in (*WAITS_S, None):
            try:
                return _read(self._post(body))
            except urllib.error.HTTPError as error:
                if error.code not in BUSY or wait_s is None:
                    return self._refusal(error)
                time.sleep(wait_s)
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                raise NetworkError(
                    f"The teacher at {self.address} does not answer: {reason}.",
                    fix="Start it, or name another address.",
                ) from error
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise NetworkError(
                    f"The teacher at {self.address} answers in another form than OpenAI's "
                    f"chat/completions ({error!r}).",
                    fix="Name the address that ends in the version, as https://HOST/v1.",
                ) from error
        raise AssertionError("the last attempt returns or raises")

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "User-Agent": "groundup"}
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

    def _refusal(self, error: urllib.error.HTTPError) -> DataError:
        """Return it where it may be that of this prompt alone; else raise ConfigError, or
        NetworkError.
        """
        with error:
            said = error.read(2**16).decode("utf-8", "replace")
        with contextlib.suppress(LookupError, TypeError, ValueError):
            said = str(json.loads(said)["error"]["message"])
        said = " ".join(said.split())[:REASON_CHARACTERS]
        if error.code in NO_KEY:
            what = "refuses the key" if self.key else "wants a key"
            raise ConfigError(
                f"The teacher at {self.address} {what} ({error.code}).",
                fix=f"Set the environment variable {KEY_VARIABLE}.",
            )
        message = f"The teacher at {self.address} answers {error.code} to {self.model}: {said}"
        if error.code in OF_THE_PROMPT:
            return DataError(message)
        if error.code in BUSY:
            raise NetworkError(message, fix="Try again later: what was answered is kept.")
        raise ConfigError(message, fix="Check the address (https://HOST/v1) and the model's name.")


def _seed(asked: object) -> int:
    """With one seed for all prompts their answers would begin alike."""
    return int(sha256_text(repr(asked))[:7], 16)


def _read(answer: Any) -> TaughtAnswer:
    choice = answer["choices"][0]
    text = choice["message"].get("content") or ""
    return TaughtAnswer(str(text).strip(), choice.get("finish_reason") != "length")
