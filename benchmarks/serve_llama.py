"""A real llama.cpp server in a process of its own, with as many slots as streams will come: python serve_llama.py FILE THREADS SLOTS.

It prints one JSON line with its address, and ends when stdin does.
"""

import json
import os
import sys

import xllamacpp

SLOT_TOKENS = 1024


def main(path: str, threads: int, slots: int) -> None:
    """llama.cpp's own defaults but for the slots, the threads, the CPU, and the prompt cache, which is off."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what llama.cpp prints is log
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_parallel, params.n_ctx = slots, slots * SLOT_TOKENS
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = slots + 2
    params.cache_ram_mib = 0
    params.fit_params = params.ui = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    answer.write(json.dumps({"address": server.listening_address}) + "\n")
    answer.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
