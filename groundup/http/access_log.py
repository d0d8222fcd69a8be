"""The access log: one line per request, and metrics for Prometheus. It wraps the guard, so that
refusals are logged too.

No prompts, answers or queries; labels of the metrics are routes, statuses and kinds.

2026-11-24T23:00:00Z 127.0.0.1 POST /api/chat 200 1.234 s 2048 bytes
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_PATH_CHARACTERS = 200
# The files of the page: counted, and in the log only where they are refused or missing.
STATIC = "/page/"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    def __init__(self) -> None:
        to = self.registry = CollectorRegistry()
        timed = "From a request's headers to its last byte."
        first = "From a request to its first piece of text."
        self.requests = Counter(
            "groundup_requests", "Requests answered.", ["route", "status"], registry=to
        )
        self.request_s = Histogram(
            "groundup_request_seconds", timed, ["route"], buckets=SECONDS, registry=to
        )
        self.first_token_s = Histogram(
            "groundup_first_token_seconds", first, buckets=SECONDS, registry=to
        )
        self.tokens = Counter("groundup_tokens", "Tokens read and written.", ["kind"], registry=to)
        self.jobs = Gauge("groundup_answers_in_hand", "Answers running or waiting.", registry=to)
        self.models = Gauge("groundup_models_loaded", "Models in memory.", registry=to)

    def count_tokens(self, prompt: int, answer: int) -> None:
        """Count the tokens of one answer and of its prompt."""
        self.tokens.labels("prompt").inc(prompt)
        self.tokens.labels("answer").inc(answer)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)


class AccessLog:
    """`say` gets each line; the paths for which `is_known` have their own labels in the metrics, all
    others share one.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        is_known: Callable[[str], bool],
        say: Callable[[str], None],
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.is_known = is_known
        self.say = say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, sent_bytes = time.monotonic(), 0, 0

        async def count(message: Message) -> None:
            nonlocal status, sent_bytes
            status = message.get("status", status)
            sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, count)
        finally:
            self._log(scope, status, time.monotonic() - started, sent_bytes)

    def _log(self, scope: Scope, status: int, elapsed_s: float, sent_bytes: int) -> None:
        path = str(scope["path"])
        route = "other"
        if self.is_known(path):
            route = path
        self.metrics.requests.labels(route, str(status)).inc()
        self.metrics.request_s.labels(route).observe(elapsed_s)
        if path.startswith(STATIC) and status in (200, 304):
            return  # some forty a visit
        client, *_ = scope.get("client") or ("-",)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        method = scope["method"][:16]
        escaped = path[:MAX_PATH_CHARACTERS].encode("unicode_escape").decode()
        took = f"{elapsed_s:.3f} s {sent_bytes} bytes"
        self.say(f"{now} {client} {method} {escaped} {status or '-'} {took}")
