"""A real llama.cpp server in a process of its own: started by `llamacpp.llama_server`, never imported.

A process apart, because llama.cpp answers some broken files by ending the process it runs in, and because only a process can surely be
stopped. It imports nothing of ours. It reads one JSON line from stdin (`path`, `context_tokens`, `threads`, `key`), writes one to
stdout (`address`) once it listens on a free port of the loopback interface, and ends when stdin does: so also when its parent was killed.
"""

import json
import os
import sys
from typing import Any

import xllamacpp


def parameters(path: str, context_tokens: int, threads: int, key: str) -> Any:
    """llama.cpp's own defaults but for: one request at a time, the CPU, no page, no prompt cache, a key that only the parent knows."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # a free one
    params.api_keys = [key]
    params.n_ctx = context_tokens
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = 2
    params.cache_ram_mib = 0
    params.fit_params = False  # it would change n_ctx to suit the memory that is free
    params.warmup = False
    params.ui = False
    params.verbosity = 1  # errors only
    return params


def serve() -> None:
    """Start, say where, and wait until nobody needs the server any more."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever llama.cpp prints is log, and goes where the log goes
    server = xllamacpp.Server(parameters(**json.loads(sys.stdin.readline())))
    answer.write(json.dumps({"address": server.listening_address}) + "\n")
    answer.flush()
    sys.stdin.read()


if __name__ == "__main__":
    serve()
