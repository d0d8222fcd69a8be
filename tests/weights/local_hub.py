"""A Hugging Face hub on this machine: the routes that its own client asks for, over a folder laid out owner/name/files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def local_hub(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serves `root`; gives the endpoint and the list of the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(body=True)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(path)
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self.send(self.describe(parts[2:]), "application/json", body)
            elif len(parts) > 4 and parts[2] == "resolve":
                self.send(
                    self.file(root / parts[0] / parts[1] / "/".join(parts[4:])),
                    "application/octet-stream",
                    body,
                )
            else:
                self.send(None, "", body)

        def describe(self, parts: list[str]) -> bytes | None:
            folder = root / "/".join(parts[:2])
            if not folder.is_dir():
                return None
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            if parts[2:3] == ["tree"]:
                return json.dumps([self.entry(folder, file) for file in files]).encode()
            siblings = [
                {"rfilename": str(file.relative_to(folder)), "size": file.stat().st_size}
                for file in files
            ]
            return json.dumps(
                {"id": "/".join(parts[:2]), "sha": COMMIT, "siblings": siblings}
            ).encode()

        def entry(self, folder: Path, file: Path) -> dict[str, Any]:
            size, oid = file.stat().st_size, hashlib.sha1(file.read_bytes()).hexdigest()
            return {"type": "file", "path": str(file.relative_to(folder)), "size": size, "oid": oid}

        def file(self, path: Path) -> bytes | None:
            return path.read_bytes() if path.is_file() else None

        def send(self, content: bytes | None, kind: str, body: bool) -> None:
            self.send_response(404 if content is None else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(content or b"").hexdigest()}"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if body and content:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
