"""Our servers on a socket: what guards them all, and the engine's voices. No server of ours is started without the guard.

    bytes -> protocol (slow and too many connections end) -> Guard (Host, Origin, key, body, deadline) -> an ASGI app -> bytes

What comes in: an ASGI app, who may call it (`access.Access`), how much it may take (`limits.Limits`). What goes out: answers, every one with
the headers of `headers.py`; refusals as small JSON in the shape that the app's dialect has. Begin reading with `guard.py`.

The voices, `groundup serve`:

    JSON -> ollama/, openai/ -> a request of exchange.py -> preparing.py (options, prompt, cut) -> worker.py -> BatchEngine
    ChatEvents -> the same translator -> bytes

`server.py` walks this way; `model_registry.py` knows names, `loaded_models.py` what is in memory, `app.py` the routes. Begin reading there with `requests.py`.
"""
