"""What every server of ours stands behind, without a model: the guard, limits, headers, the bounded protocol, metrics, error responses.

    bytes -> protocol (closes slow and excess connections) -> Guard (Host, Origin, key, body, deadline) -> an ASGI app -> bytes

In: an ASGI app, who may call it (`access.Access`), how much it may take (`limits.Limits`). Out: responses with the headers of `headers.py`;
refusals as small JSON in the shape of the app's dialect. Begin reading with `guard.py`; `run_server.py` starts uvicorn.
"""
