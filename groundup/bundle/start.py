"""The script of a folder that `groundup app` wrote: it serves the model or assistant on this
machine alone and opens its page. It runs in the folder's own Python, by start.sh.

    ./start.sh             until Ctrl-C
    ./start.sh --check     start, ask the server what it serves, end
"""

import json
import os
import subprocess
import sys
import urllib.request
import webbrowser
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WAIT_S = 10


def main() -> int:
    """Serve until Ctrl-C; the exit code."""
    about = json.loads((HERE / "app.json").read_text(encoding="utf-8"))
    print(f"Starting {about['name']}, which takes some seconds ...", flush=True)
    model = f"{about['name']}={HERE / about['model']}"
    if (HERE / "cache").is_dir():  # with the encoders
        os.environ["GROUNDUP_CACHE"] = str(HERE / "cache")
    os.chdir(HERE)  # from here an encoder that is a folder is named
    command = [sys.executable, "-I", "-m", "groundup", "--offline", "serve", model]
    if about["documents"] and not about["parameters"]:  # else its encoders are served as models
        command += ["--models", str(HERE / about["model"])]
    server = subprocess.Popen(
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, encoding="utf-8"
    )
    os.environ.pop("LD_LIBRARY_PATH", None)  # the browser has libraries of its own
    assert server.stdout is not None
    line = server.stdout.readline()
    try:
        if not line:
            return server.wait() or 1
        address = json.loads(line)["address"]
        if "--check" in sys.argv:
            served = [each["id"] for each in entries(f"{address}/v1/models", "data")]
            for index in entries(f"{address}/groundup/indexes", "indexes"):
                served.append(f"{index['documents']} documents as {index['name']}")
            print(f"{address} serves {', '.join(served)}.")
            return 0
        print(f"{address} (Ctrl-C ends it)", flush=True)
        webbrowser.open(address)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def entries(address: str, name: str) -> list[dict[str, Any]]:
    """Return a list of the JSON object that is at an address, by its name there."""
    with urllib.request.urlopen(address, timeout=WAIT_S) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())[name]
    return found


if __name__ == "__main__":
    sys.exit(main())
