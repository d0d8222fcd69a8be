"""Ollama's REST API as a translator: bodies -> requests of `serve.requests`, events ->
newline-delimited JSON.

All functions are pure except for the routes in `routes.py`: nothing else here awaits, reads a file
or uses a model. Begin with `generation.py` (requests to /api/generate and /api/chat), then
`answers.py` (their responses).
"""
