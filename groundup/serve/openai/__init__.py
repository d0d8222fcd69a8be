"""OpenAI's API as a translator: bodies -> requests of `exchange`, events -> JSON or server-sent events.

Pure but for `routes.py`, the thin edge: nothing else here waits, reads a file or knows a model.
Begin with `chat.py`, then `completions.py` and `embeddings.py`; `errors.py` has the shape of every refusal, and
`structured.py` what other servers of this API call the form of an answer.
"""
