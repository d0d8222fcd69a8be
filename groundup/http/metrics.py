"""Metrics of the server for Prometheus, without contents of prompts or answers; labels are routes, statuses and kinds."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        to = self.registry = CollectorRegistry()
        timed, first = "From a request's headers to its last byte.", "From a request to its first piece of text."
        self.requests = Counter("groundup_requests", "Requests answered.", ["route", "status"], registry=to)
        self.request_s = Histogram("groundup_request_seconds", timed, ["route"], buckets=SECONDS, registry=to)
        self.first_token_s = Histogram("groundup_first_token_seconds", first, buckets=SECONDS, registry=to)
        self.tokens = Counter("groundup_tokens", "Tokens read and written.", ["kind"], registry=to)
        self.jobs = Gauge("groundup_answers_in_hand", "Answers running or waiting.", registry=to)
        self.models = Gauge("groundup_models_loaded", "Models in memory.", registry=to)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)
