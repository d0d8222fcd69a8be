"""OpenAI's API as a translator: bodies -> requests of `exchange`, events -> JSON or server-sent events. Nothing here waits, reads a file or knows a model.

Begin with `chat.py`, then `completions.py` and `embeddings.py`; `errors.py` has the shape of every refusal.
"""
