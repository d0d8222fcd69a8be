"""The health check of the container: exit code 0 where /healthz answers with 200, within 4 seconds."""

import os
import urllib.request

request = urllib.request.Request("http://127.0.0.1:11434/healthz")
if key := os.environ.get("GROUNDUP_API_KEY"):
    request.add_header("Authorization", f"Bearer {key}")
with urllib.request.urlopen(request, timeout=4):
    pass
