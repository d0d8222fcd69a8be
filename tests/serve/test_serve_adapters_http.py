"""`groundup serve BASE --adapter NAME=DIR` as a real process: over HTTP each adapter answers as its merged model, an unknown name is a 404."""

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_program import SERVER, forker
from small_models import save_language

from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.sampling import Sampling
from groundup.model.heads import LanguageModel
from groundup.model.lora import add_lora, lora_parameters, lora_weights, merge_lora
from groundup.weights.adapter import Adapter, base_hashes, write_adapter
from groundup.weights.model_io import open_model, save_model

CPU = Compute(torch.device("cpu"))
PROMPT, TOKENS = "To be, or not", 12
GREEDY = Sampling(temperature=0, max_tokens=TOKENS)


def save_both(root: Path, name: str, base: Path, seed: int) -> None:
    """An adapter of `base`, and the whole model that it merges to."""
    opened = open_model(base, CPU)
    assert isinstance(opened.model, LanguageModel)
    hashes = base_hashes(opened.model)
    add_lora(opened.model, rank=4, alpha=8.0, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for place, parameter in enumerate(lora_parameters(opened.model)):
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(100 * seed + place))
    weights = Adapter(lora_weights(opened.model), str(base.resolve()), hashes)
    write_adapter(weights, opened.model.config, root / name)
    merge_lora(opened.model)
    save_model(opened.model, root / f"merged-{name}", opened.require_tokenizer())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The whole model of each name that is served."""
    root = tmp_path_factory.mktemp("adapters")
    base = save_language(root / "base")
    for seed, name in ((1, "one"), (2, "two")):
        save_both(root, name, base, seed)
    return {"base": base, "one": root / "merged-one", "two": root / "merged-two"}


@pytest.fixture(scope="module")
def port(models: dict[str, Path]) -> Iterator[int]:
    root = models["base"].parent
    adapters = [part for name in ("one", "two") for part in ("--adapter", f"{name}={root / name}")]
    command = ["serve", str(models["base"]), *adapters, "--port", "0"]
    command += ["--precision", "float32", "--device", "cpu"]
    process = forker().start(command, imported=SERVER)
    with process.stdout, process.stderr:
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        yield int(found[1])
        process.kill()
        process.wait(60)


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = None if body is None else json.dumps(body)
    connection.request(
        "GET" if body is None else "POST", path, sent, {"Content-Type": "application/json"}
    )
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, found


def test_every_adapter_is_listed_beside_its_base(port: int) -> None:
    status, listed = ask(port, "/v1/models")
    assert status == 200 and {each["id"].partition(":")[0] for each in listed["data"]} == {
        "base",
        "one",
        "two",
    }
    assert {each["name"] for each in ask(port, "/api/tags")[1]["models"]} == {
        "base:latest",
        "one:latest",
        "two:latest",
    }


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_each_adapter_answers_as_its_merged_model(
    port: int, models: dict[str, Path], dialect: str
) -> None:
    found = {}
    for name in models:
        if dialect == "openai":
            asked = {"model": name, "prompt": PROMPT, "temperature": 0, "max_tokens": TOKENS}
            found[name] = ask(port, "/v1/completions", asked)[1]["choices"][0]["text"]
        else:
            asked = {"model": name, "prompt": PROMPT, "raw": True, "stream": False}
            options = {"temperature": 0, "num_predict": TOKENS}
            found[name] = ask(port, "/api/generate", {**asked, "options": options})[1]["response"]
    engines = {name: Engine(open_model(path, CPU), CPU) for name, path in models.items()}
    alone = {
        name: "".join(e.text for e in engine.complete(PROMPT, GREEDY))
        for name, engine in engines.items()
    }
    assert found == alone and len(set(found.values())) == 3


@pytest.mark.parametrize(
    "path", ["/v1/completions", "/v1/chat/completions", "/api/generate", "/api/chat"]
)
def test_an_unknown_name_is_a_404_with_the_names(port: int, path: str) -> None:
    body = {"model": "three", "prompt": PROMPT, "messages": [{"role": "user", "content": PROMPT}]}
    body.pop("messages" if path in ("/v1/completions", "/api/generate") else "prompt")
    status, answer = ask(port, path, body)
    said = json.dumps(answer)
    assert (
        status == 404 and "three" in said and all(name in said for name in ("base", "one", "two"))
    ), said
