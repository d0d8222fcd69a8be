"""The application: every route of the server, put together from the dialects.

In: a server with its models. Out: an ASGI app. Begin with application.py.
"""
