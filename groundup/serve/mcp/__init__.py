"""The Model Context Protocol: what the server's documents and assistants can do, as tools for any
MCP client (`groundup serve --mcp`).

In: calls of tools, over stdio or as POSTs to /mcp (streamable HTTP). Out: texts with their sources.
The protocol is the official SDK's (extra `mcp`). Begin with endpoint.py.
"""
