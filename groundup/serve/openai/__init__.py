"""OpenAI's API as a translator: bodies -> requests of `serve.requests`, events -> JSON or
server-sent events.

All functions are pure except for the routes: nothing else here awaits, reads a file or uses a
model. Begin with `chat.py`, then `completions.py`; `fields.py` has the shape of errors, and the
fields for structured output that other servers of this API have.
"""
