"""How much one server of ours takes, from one request and from all of them together. Whatever has a number here is refused beyond it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one server. A field's line: what happens beyond it, and where the number comes from."""

    body_bytes: int = 4 * 2**20
    """413. A context of 128k tokens is some 0.6 MB of text; a list of texts to embed, or a few hundred turns, fit in as well."""
    bodies_bytes: int = 64 * 2**20
    """503. Of all requests in hand together, so that many large bodies at once stay small beside a model's weights."""
    json_depth: int = 64
    """400. The deepest JSON that a client sends, a schema with definitions, has about twenty levels; Python's own parser gives up near a thousand."""
    header_bytes: int = 16 * 2**10
    """400 or 431. nginx takes 8 kB a line and 32 kB in all; browsers send one to two."""
    headers: int = 64
    """431. Browsers and client libraries send fewer than thirty."""
    connections: int = 256
    """Closed without a word. A connection costs a file descriptor (1,024 is the usual limit of a process) and some kilobytes."""
    requests: int = 64
    """503. At work or waiting at the same time; twice the 32 streams that the engine's tests run."""
    waiting_requests: int = 32
    """503, by the engine's queue. More than that many answers in front of one's own is no longer waiting."""
    choices: int = 16
    """400. Answers to one request: choices times prompts; each is as much work as a request of its own."""
    logprobs: int = 20
    """400. Alternatives told for each token; OpenAI's own bound."""
    messages: int = 4096
    """400. Of one request; each costs 0.1 ms to render, however short. A context of 128k tokens has room for 32 tokens each."""
    prompt_characters: int = 2**20
    """400. Of all prompts of one request; a context of 128k tokens is some 0.6 million. What is more would only be read to be cut away."""
    stop_strings: int = 16
    """400. OpenAI takes 4; each is looked for in every piece of text."""
    stop_characters: int = 256
    """400. In one stop string; so much text may be held back."""
    schema_characters: int = 64 * 2**10
    """400. Of a JSON schema; those that tools make for large classes have some 20,000. And of a choice's texts together."""
    regex_characters: int = 2048
    """400. Of a regular expression, or of all in a JSON schema: what llguidance takes for one grows with the square (".*" 4,096 times over: 2 s)."""
    grammar_characters: int = 16 * 2**10
    """400. Of a grammar; the one of C among llama.cpp's examples has some 2,000."""
    tools_characters: int = 256 * 2**10
    """400. Of all tools of one request, which every prompt begins with; a hundred of them, each with a page of description, have some 200,000."""
    texts: int = 2048
    """400. Texts to embed or classify in one request; OpenAI's own bound."""
    embed_tokens: int = 2048
    """Cut, or 400 where the client wants no cutting. Of one text to embed, or the model's context where that is less: the work grows with the square
    (SmolLM2 on one core: 10 s for 2,048 tokens, minutes for its context of 8,192). Ollama's own context was as long by default."""
    headers_s: float = 10.0
    """Closed. From the first byte (or from the connection) to the end of the headers, which fit in a few packets."""
    body_s: float = 30.0
    """408. 4 MiB in it is 140 kB/s, less than a bad mobile line."""
    linger_s: float = 2.0
    """Closed. What a client that was answered early may still send; it is thrown away, so that the answer can be read before the line is cut."""
    request_s: float = 900.0
    """503, or an answer cut short. From the end of the body to the end of the answer: 2,000 tokens at 3 a second, on a slow machine."""
    idle_s: int = 15
    """Closed. A connection kept open between requests; client libraries give theirs up after 5."""
    shutdown_s: int = 8
    """Cut short. Answers in hand when the server is asked to end: SIGTERM must be over in 10. A second later the process ends even if a thread is
    still at work."""
