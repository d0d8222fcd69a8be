"""Ollama's REST API as a translator: bodies -> requests of `exchange`, events -> newline-delimited JSON.

Pure but for `routes.py`, the thin edge: nothing else here waits, reads a file or knows a model.
Begin with `generation.py` (what /api/generate and /api/chat ask), then `answers.py` (what they answer); `naming.py` is about models.
"""
