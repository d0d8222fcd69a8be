"""Real llama.cpp, in this process: what it makes of a file of ours."""

from pathlib import Path

import pytest
import torch

xllamacpp = pytest.importorskip("xllamacpp")


def next_token_logprobs(path: Path, prompts: list[list[int]], vocab_size: int) -> torch.Tensor:
    """llama.cpp's log-probabilities [prompts, V] of the token after each prompt; a prompt that it answers with an end is left as NaN."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel = 256, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = params.fit_params = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    return torch.stack([_ask(server, prompt, vocab_size) for prompt in prompts])


def _ask(server: object, prompt: list[int], vocab_size: int) -> torch.Tensor:
    request = {"prompt": prompt, "n_predict": 1, "n_probs": vocab_size, "temperature": 0.0, "cache_prompt": False}
    reply = server.handle_completions(request)  # type: ignore[attr-defined]
    row = torch.full((vocab_size,), float("nan"))
    logprobs = reply["choices"][0]["logprobs"]  # none for a token that ends the text
    for entry in logprobs["content"][0]["top_logprobs"] if logprobs else []:
        row[entry["id"]] = entry["logprob"]
    return row


def largest_difference(
    path: Path, model: torch.nn.Module, vocab_size: int, *, seed: int = 0, length: int = 60
) -> float:
    """Between llama.cpp's log-probabilities and ours, over a few random prompts."""
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randint(0, 256, (4, length), generator=generator)
    theirs = next_token_logprobs(path, prompts.tolist(), vocab_size)
    with torch.no_grad():
        ours = torch.log_softmax(model(prompts)[:, -1], dim=-1)
    answered = ~theirs.isnan().any(dim=1)
    assert answered.sum() >= 2
    return float((ours - theirs)[answered].abs().max())
