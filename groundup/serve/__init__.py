"""Our servers on a socket: what guards them all, and later the engine's voices. No server of ours is started without the guard.

    bytes -> protocol (slow and too many connections end) -> Guard (Host, Origin, key, body, deadline) -> an ASGI app -> bytes

What comes in: an ASGI app, who may call it (`access.Access`), how much it may take (`limits.Limits`). What goes out: answers, every one with
the headers of `headers.py`; refusals as small JSON in the shape that the app's dialect has. Begin reading with `guard.py`.
"""
