"""The common parts of all servers, without a model: guard, limits, headers, bounded protocol,
metrics, error responses.

    bytes -> protocol (closes slow and excess connections) -> Guard (Host, Origin, key, body,
        deadline) -> an ASGI app -> bytes

In: an ASGI app, its access rules (`access.Access`) and limits (`limits.Limits`). Out: responses
with security headers; errors as JSON in the API dialect of the app. Begin reading with `guard.py`;
`run_server.py` starts uvicorn.
"""
