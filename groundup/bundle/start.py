"""The script of a folder that `groundup app` wrote: it serves the model on this machine alone and
opens its page. It runs in the folder's own Python, by start.sh.

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

HERE = Path(__file__).resolve().parent
WAIT_S = 10


def main() -> int:
    """Serve until Ctrl-C; the exit code."""
    about = json.loads((HERE / "app.json").read_text(encoding="utf-8"))
    print(f"Starting {about['name']}, which takes some seconds ...", flush=True)
    model = f"{about['name']}={HERE / about['model']}"
    command = [sys.executable, "-I", "-m", "groundup", "--offline", "serve", model]
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
            with urllib.request.urlopen(f"{address}/v1/models", timeout=WAIT_S) as answer:
                served = [each["id"] for each in json.loads(answer.read())["data"]]
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


if __name__ == "__main__":
    sys.exit(main())
