"""Ollama's REST API as a translator: bodies -> requests of `exchange`, events -> newline-delimited JSON. Nothing here waits, reads a file or knows a model.

Begin with `generation.py` (what /api/generate and /api/chat ask), then `answers.py` (what they answer); `naming.py` is about models.
"""
