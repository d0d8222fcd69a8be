"""A booking system as an MCP server of its own process: the official SDK over stdio or HTTP, and one by hand that misbehaves.

    booking_mcp.py FILE            stdio
    booking_mcp.py FILE PORT       streamable HTTP
    booking_mcp.py FILE twice      answers each call twice
    booking_mcp.py FILE never      takes a call and never answers
    booking_mcp.py FILE dies       takes a call and ends
    booking_mcp.py FILE refuses    -32602 to each call

What is called stands in FILE, a line of JSON for each call: arguments, `_meta`, and $SECRET.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

RECEIVED = Path(sys.argv[1])
MISBEHAVES = ("twice", "never", "dies", "refuses")
SCHEMA = {
    "type": "object",
    "properties": {name: {} for name in ("day", "at", "guests", "holder", "note")},
}


def keep(arguments: dict[str, Any], meta: Any) -> None:
    with RECEIVED.open("a") as file:
        file.write(json.dumps([arguments, meta, os.environ.get("SECRET")]) + "\n")


def serve(port: int | None) -> None:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    server = MCPServer("bookings")

    @server.tool()
    def book(
        when: str, people: int, name: str, reference: str, context: Context, note: str = ""
    ) -> str:
        """Book a table."""
        arguments = {
            "when": when,
            "people": people,
            "name": name,
            "reference": reference,
            "note": note,
        }
        keep(arguments, dict(context.request_context.meta or {}))
        if name == "Bo":
            raise ToolError("no table")
        return "booked"

    @server.tool()
    def close() -> str:
        """Close the restaurant."""
        keep({"closed": True}, None)
        return "closed"

    if port is None:
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=port)


def misbehave(how: str) -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        method, result = asked["method"], {}
        if method == "initialize":
            version = asked["params"]["protocolVersion"]
            result = {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": how, "version": "1"},
            }
        elif method == "tools/list":
            result = {"tools": [{"name": "book", "inputSchema": SCHEMA}]}
        elif method == "tools/call":
            keep(asked["params"]["arguments"], asked["params"].get("_meta"))
            if how == "dies":
                sys.exit(1)
            if how == "never":
                time.sleep(600)
            result = {"content": [{"type": "text", "text": "booked"}]}
        else:
            say(asked["id"], error={"code": -32601, "message": "Method not found"})
            continue
        if how == "refuses" and method == "tools/call":
            say(asked["id"], error={"code": -32602, "message": "guests is no string"})
            continue
        say(asked["id"], result=result)
        if how == "twice" and method == "tools/call":
            say(asked["id"], result={"content": [], "isError": True})


def say(id: int, **what: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", "id": id, **what}), flush=True)


if __name__ == "__main__":
    how = "".join(sys.argv[2:])
    if how in MISBEHAVES:
        misbehave(how)
    else:
        serve(int(how) if how else None)
