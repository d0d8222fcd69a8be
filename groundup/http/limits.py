"""The limits of a server, per request and in total."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one server.

    The docstring of a field has the status beyond it and the reason for the number.
    """

    body_bytes: int = 4 * 2**20
    """413.

    A context of 128k tokens is about 0.6 MB of text; a list of texts to embed, or a few hundred
    turns, also fit.
    """
    bodies_bytes: int = 64 * 2**20
    """503.

    All bodies in memory together, so that they are small compared with a model's weights.
    """
    json_depth: int = 64
    """400. The deepest JSON of clients, a schema with definitions, has about twenty levels;
    Python's parser fails near a thousand.
    """
    header_bytes: int = 16 * 2**10
    """400 or 431. nginx allows 8 kB per line and 32 kB in total; browsers send one to two."""
    headers: int = 64
    """431. Browsers and client libraries send fewer than thirty."""
    connections: int = 256
    """Closed without a response.

    A connection costs a file descriptor (usually 1,024 per process) and some kilobytes.
    """
    requests: int = 64
    """503. Running or waiting at the same time; twice the 32 streams of the engine's tests."""
    waiting_requests: int = 32
    """503, by the engine's queue. A longer queue would take too long."""
    choices: int = 16
    """400.

    Answers to one request: choices times prompts; each costs as much as a separate request.
    """
    logprobs: int = 20
    """400. Alternatives per token; OpenAI's limit."""
    messages: int = 4096
    """400. Of one request; each takes 0.1 ms to render, however short.

    A context of 128k tokens has room for 32 tokens each.
    """
    prompt_characters: int = 2**20
    """400. All prompts of one request; a context of 128k tokens is about 0.6 million.

    More would be truncated.
    """
    stop_strings: int = 16
    """400. OpenAI allows 4; each is searched in every piece of text."""
    stop_characters: int = 256
    """400. One stop string; so much text may be held back."""
    schema_characters: int = 64 * 2**10
    """400. A JSON schema; generated ones of large classes have about 20,000.

    And the texts of a choice together.
    """
    regex_characters: int = 2048
    """400.

    A regular expression, or all in a JSON schema: llguidance takes quadratic time (".*" 4,096 times
    over: 2 s).
    """
    grammar_characters: int = 16 * 2**10
    """400. A grammar; that of C among llama.cpp's examples has about 2,000."""
    tools_characters: int = 256 * 2**10
    """400.

    All tools of one request, which are in every prompt; a hundred with a page of description each
    have about 200,000.
    """
    template_characters: int = 32 * 2**10
    """400. A client's chat template; the longest of known models have about 20,000."""
    kept_responses: int = 512
    """Forgotten, the oldest first.

    Responses of /v1/responses that a request may follow; each client follows its latest one.
    """
    kept_characters: int = 4 * 2**20
    """Forgotten, the oldest first.

    All kept responses with their conversations, as JSON: some 20 MB of objects.
    """
    texts: int = 2048
    """400. Texts to embed or classify in one request; OpenAI's limit."""
    embed_tokens: int = 2048
    """Truncated, or 400 where the client wants no truncation. Of one text to embed, or the model's
    context where that is less: work grows with the square (SmolLM2 on one core: 10 s for 2,048
    tokens, minutes for its context of 8,192). Ollama's default context was as long."""
    headers_s: float = 10.0
    """Closed.

    From the first byte (or from the connection) to the end of the headers, which fit in a few
    packets.
    """
    body_s: float = 30.0
    """408. 4 MiB in this time is 140 kB/s, less than a slow mobile connection."""
    linger_s: float = 2.0
    """Closed.

    For the rest of a body that was answered early; it is discarded, so that the client can read the
    response first.
    """
    request_s: float = 900.0
    """503, or a response cut off.

    From the end of the body to the end of the response: 2,000 tokens at 3 per second, on a slow
    machine.
    """
    idle_s: int = 15
    """Closed. A connection kept open between requests; client libraries close theirs after 5."""
    shutdown_s: int = 8
    """Cut off. For running responses when the server is stopped: SIGTERM must be handled within 10.
    A second later the process ends even if a thread is still running."""
