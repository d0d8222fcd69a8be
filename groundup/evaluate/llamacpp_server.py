"""A real llama.cpp server in its own process: started by `llamacpp.llama_server`, never imported.

A separate process, because llama.cpp aborts its process on some invalid files, and because only a
process can be stopped reliably. It imports nothing of this package. It reads one JSON line from
stdin (`path`, `context_tokens`, `threads`, `key`, and `adapter`, a path or ""), writes one to
stdout (`address`) once it listens on a free port of the loopback interface, and ends when stdin is
closed, also when its parent was killed.
"""

import ctypes
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

try:
    import xllamacpp
except ImportError:  # it wants the system's OpenMP, which a bare Debian lacks; torch has one
    torch = importlib.util.find_spec("torch")
    assert torch is not None and torch.origin is not None
    openmp = Path(torch.origin).parent / "lib" / "libgomp.so.1"
    if not openmp.exists():
        raise
    ctypes.CDLL(str(openmp), mode=ctypes.RTLD_GLOBAL)
    import xllamacpp


def parameters(path: str, context_tokens: int, threads: int, key: str, adapter: str) -> Any:
    """One request at a time, the CPU, no web page, no cache, a key known to the parent only."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    if adapter:
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path, lora.scale = adapter, 1.0
        params.lora_adapters = [lora]
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free port
    params.api_keys = [key]
    params.n_ctx = context_tokens
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = 2
    params.cache_ram_mib = 0
    params.fit_params = False  # it would change n_ctx to fit free memory
    params.warmup = False
    params.ui = False
    params.verbosity = 1  # errors only
    return params


def serve() -> None:
    """Start the server, report its address, and wait until stdin is closed."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # llama.cpp's output goes to the log
    server = xllamacpp.Server(parameters(**json.loads(sys.stdin.readline())))
    answer.write(json.dumps({"address": server.listening_address}) + "\n")
    answer.flush()
    sys.stdin.read()


if __name__ == "__main__":
    serve()
