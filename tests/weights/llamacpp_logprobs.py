"""A program: real llama.cpp's log-probabilities after some prompts, file by file. In a process of its own, which an assertion in llama.cpp ends.

stdin: one JSON line a file, {"path", "adapter", "prompts", "told", "vocab_size", "plain"}.
stdout: one JSON line a file, [prompts][V] with null for what is not told, or {"error"}.
Keys and values are kept in float32 (llama.cpp's own default, 16 bits, is off by 0.03 in models as small as those of the tests).
"""

import json
import os
import sys
from typing import Any

import xllamacpp


def load(path: str, adapter: str) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = path
    if adapter:
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path, lora.scale = adapter, 1.0
        params.lora_adapters = [lora]
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 1024, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.warmup = params.fit_params = params.ui = False
    params.cache_ram_mib = 0
    params.verbosity = 1
    return xllamacpp.Server(params)


def logprobs(
    server: Any, prompt: list[int], told: int, vocab_size: int, plain: int
) -> list[float | None]:
    """Of the `told` most probable tokens after the prompt. Nothing is told of a token that ends a text or ends within a character, so
    the `plain` one is generated, by a bias on its logit; the probabilities told are those without it."""
    request = {
        "prompt": prompt,
        "n_predict": 1,
        "n_probs": told,
        "temperature": 0.0,
        "cache_prompt": False,
    }
    request["logit_bias"] = [[plain, 10_000.0]]
    tokens = server.handle_completions(request)["choices"][0]["logprobs"]["content"][0][
        "top_logprobs"
    ]
    found = {entry["id"]: entry["logprob"] for entry in tokens}
    return [found.get(token) for token in range(vocab_size)]


def main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what llama.cpp prints is no answer
    for line in sys.stdin:
        order = json.loads(line)
        try:
            server = load(order["path"], order["adapter"])
            rest = (order["told"], order["vocab_size"], order["plain"])
            result: Any = [logprobs(server, prompt, *rest) for prompt in order["prompts"]]
        except RuntimeError as error:
            result = {"error": str(error)}
        answer.write(json.dumps(result) + "\n")
        answer.flush()


if __name__ == "__main__":
    main()
