"""Tiny models of the kinds that recipes make, for the page with a model inside, and its program run
by node.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.html_nodes import read_asset
from groundup.lab.live.contents import page_contents
from groundup.lab.live.live_page import PACKAGE, PROGRAM
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel

GPT2: dict[str, Any] = {
    "norm": "layer",
    "positions": "learned",
    "feedforward": "gelu",
    "attention_bias": True,
    "attention_output_bias": True,
    "feedforward_bias": True,
    "num_kv_heads": 4,
}
SHAPES: dict[str, dict[str, Any]] = {
    "grouped-query, tied, rotary": {},
    "own head": {"tied_head": False, "block": "parallel", "window_tokens": 5},
    "QK-norm": {"qk_norm": "head", "head_width": 16, "block": "sandwich", "feedforward": "geglu"},
    "learned positions": {"positions": "learned", "qk_norm": "projection", "block": "output"},
    "GPT-2": GPT2,
}
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="needs node")


def open_shape(tokenizer: Tokenizer, **choices: Any) -> OpenModel:
    shape = {"width": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2}
    sizes = {"vocab_size": tokenizer.vocab_size, "context_tokens": 40, "feedforward_width": 48}
    model = LanguageModel(ModelConfig(**{**shape, **sizes, **choices})).eval()
    initialise(model, torch.Generator().manual_seed(5), deviation=0.2)
    return OpenModel(model, tokenizer, model.config, Path("<b>tiny</b>"), "language")


def run_in_node(program: str, models: dict[str, OpenModel], **given: Any) -> Any:
    """The value of a function `(models, given) => value` of JavaScript, with the page's program but
    its last file (which draws) around it. `models`: name -> {model: LiveModel, tokenizer}.
    """
    held = {
        name: {"config": each.config, "tokenizer": each.tokenizer, "tensors": each.tensors}
        | {"weights": each.weights, "rounded": each.rounded}
        for name, each in ((name, page_contents(opened)) for name, opened in models.items())
    }
    files = [read_asset(PACKAGE, file) for file in PROGRAM if file != "contained.js"]
    script = "\n".join([*files, START.replace("PROGRAM", program)])
    with tempfile.TemporaryDirectory() as folder:  # an argument holds 128 kB only
        file = Path(folder) / "program.js"
        file.write_text(script)
        said = subprocess.run(
            ["node", str(file)],
            input=json.dumps({"models": held, "given": given}),
            capture_output=True,
            text=True,
            check=False,
        )
    assert said.returncode == 0, said.stderr[-2000:]
    return json.loads(said.stdout)


START = """
const { models, given } = JSON.parse(require("fs").readFileSync(0, "utf8"));
for (const [name, held] of Object.entries(models)) {
  const weights = unpacked(held, new Uint8Array(Buffer.from(held.weights, "base64")));
  const tokenizer = new ByteLevelTokenizer(held.tokenizer);
  models[name] = { model: new LiveModel(held.config, weights), tokenizer };
}
const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
process.stdout.write(JSON.stringify((PROGRAM)(models, given), plain));
"""
