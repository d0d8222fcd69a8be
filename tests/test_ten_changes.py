"""What docs/tour.md promises of additions: each is made in a copy of the package, in exactly the files that its row names, and used.

To promise another one: a `Change` in CHANGES. All are made in the same copy, and one process uses them one after the other.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import groundup

PACKAGE = Path(groundup.__file__).parent
TOUR = PACKAGE.parent / "docs" / "tour.md"


@dataclass(frozen=True)
class Change:
    """One addition to the package."""

    row: str
    """The first column of the tour's table."""
    use: str
    """Python that fails where the addition does not work; `tmp` is an empty folder."""
    inserted: tuple[tuple[str, str, str], ...] = ()
    """(file, a text in it, what is put before that text)."""
    new_files: tuple[tuple[str, str], ...] = ()


ACTIVATION = Change(
    "add an activation",
    inserted=(
        (
            "model/feedforward.py",
            "\n\nFEEDFORWARDS: ",
            '''

class SquaredReLU(FeedForward):
    """down(relu(up(x))^2) (So et al. 2021)."""

    title, formula, saved_tensors = "Squared ReLU", "down(relu(up)²)", 3

    @staticmethod
    def activation(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        return F.relu(x).square()
''',
        ),
        ("model/feedforward.py", '"gelu": GELU}', '"relu2": SquaredReLU, '),
    ),
    use="""
from groundup.lab.architecture import architecture
from groundup.model.footprint import training_memory
from groundup.model.sizes import parameter_count

config = replace(TINY, feedforward="relu2")
model = LanguageModel(config)
assert not torch.equal(model(IDS), LanguageModel(TINY)(IDS))
assert sum(weight.numel() for weight in model.parameters()) == parameter_count(config).total
assert training_memory(config, batch_size=1, context_tokens=8).total > 0
assert "Squared ReLU" in str(architecture(config, "tiny"))
""",
)

POSITIONS = Change(
    "add positions to the embedding in another way",
    inserted=(
        (
            "model/positions.py",
            "\n\nADDED_POSITIONS: ",
            '''

class Ramp(AddedPositions):
    """The position itself in every component."""

    title, formula = "Ramp", "a straight line"

    def __init__(self, width: int, context_tokens: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, positions: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        return positions[..., None].float().expand(-1, -1, self.width)
''',
        ),
        ("model/positions.py", '    "learned": LearnedPositions,', '    "ramp": Ramp,\n'),
    ),
    use="""
from groundup.lab.architecture import architecture
from groundup.model.cache import KVCache
from groundup.model.sizes import parameter_count

config = replace(TINY, positions="ramp")
model = LanguageModel(config).eval()
assert sum(weight.numel() for weight in model.parameters()) == parameter_count(config).total
cache = KVCache(config, batch=1)
pieces = [model(piece, cache=cache) for piece in IDS.split(3, dim=1)]
torch.testing.assert_close(torch.cat(pieces, dim=1), model(IDS), atol=1e-4, rtol=1e-4)
embedded = model.transformer.embed(IDS) - model.transformer.embedding(IDS)
assert torch.allclose(embedded[0, :, 0], torch.arange(IDS.shape[1]).float(), atol=1e-5)
assert "a straight line, added" in str(architecture(config, "tiny"))
""",
)

FAMILY = Change(
    "load a new model family",
    inserted=(
        ("model/config.py", '    "llama", "gpt2"', '    "vicuna",'),
        (
            "weights/hf_families.py",
            '    "smollm3": HFFamily(',
            '    "vicuna": HFFamily("Vicuna", "vicuna", _ROTARY | _NO_BIAS, _KEYS, _DEFAULTS, _SILU),\n',
        ),
        ("weights/names.py", '    "smollm3": _LLAMA_LIKE,', '    "vicuna": _LLAMA_LIKE,\n'),
        ("weights/gguf_architectures.py", '    "mistral": "llama",', '    "vicuna": "llama",\n'),
        (
            "model/presets.py",
            "    # Radford et al. 2019",
            """    "vicuna-tiny": ModelConfig(
        family="vicuna",
        vocab_size=300,
        context_tokens=32,
        width=32,
        num_layers=1,
        num_heads=2,
        feedforward_width=64,
    ),
""",
        ),
    ),
    use="""
from groundup.model.presets import preset
from groundup.weights.model_io import open_model, save_model

model = LanguageModel(preset("vicuna-tiny")).eval()
save_model(model, tmp / "model")
assert '"VicunaForCausalLM"' in (tmp / "model" / "config.json").read_text()
found = open_model(tmp / "model", CPU)
assert found.config.family == "vicuna" and torch.equal(found.model(IDS), model(IDS))
export(replace(found, tokenizer=TOKENIZER), "gguf", tmp / "model.gguf", encoding="f32")
assert torch.equal(open_model(tmp / "model.gguf", CPU).model(IDS), model(IDS))
""",
)

FILTER = Change(
    "add a quality filter",
    inserted=(
        (
            "data/filters.py",
            "# Applied in this order",
            '''def is_shouted(document: Document) -> str | None:
    """All in capitals."""
    return "shouted" if document.text.isupper() else None


''',
        ),
        ("data/filters.py", "is_empty,)", "is_shouted, "),
    ),
    use="""
from groundup.data.documents import Document
from groundup.data.filters import reason_to_drop

assert reason_to_drop(Document("STOP", "source", "name")) == "shouted"
assert reason_to_drop(Document("Stop.", "source", "name")) is None
""",
)

FORMAT = Change(
    "add an export format, or read another format",
    new_files=(
        (
            "weights/npz.py",
            '''"""A NumPy archive <-> a language model: its parameters by our names, and its config."""

import json
from pathlib import Path

import numpy as np
import torch

from groundup.config import build_config, to_plain
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.weights.model_format import ExportOptions, ModelFormat, ModelReader, ModelSummary, ModelTexts, OpenModel


def _export(opened: OpenModel, out: Path, options: ExportOptions) -> None:
    arrays = {name: tensor.numpy() for name, tensor in opened.model.state_dict().items()}
    np.savez(out, config=json.dumps(to_plain(opened.config)), **arrays)


def _config(path: Path) -> ModelConfig:
    return build_config(ModelConfig, json.loads(str(np.load(path)["config"])))


def _open(path: Path, dtype: torch.dtype) -> OpenModel:
    model = LanguageModel(_config(path))
    archive = np.load(path)
    model.load_state_dict({name: torch.from_numpy(archive[name]) for name in archive.files if name != "config"})
    return OpenModel(model.to(dtype).eval(), None, model.config, path, "language")


def _summary(path: Path) -> ModelSummary:
    return ModelSummary(_config(path), str(path), path.stem, stored={"F32": path.stat().st_size})


READER = ModelReader("npz", _open, _summary, lambda path: ModelTexts("", None, chats=False), lambda path: None)
NPZ = ModelFormat("npz", ".npz", ("f32",), "f32", _export, READER)
''',
        ),
    ),
    inserted=(
        ("weights/formats.py", "from groundup.weights.modelfile", "from groundup.weights.npz import NPZ\n"),
        ("weights/formats.py", '    "ollama": OLLAMA,', '    "npz": NPZ,\n'),
    ),
    use="""
from groundup.serve.model_registry import ModelRegistry
from groundup.weights.model_io import open_model, read_model_summary, save_model

model = LanguageModel(TINY).eval()
save_model(model, tmp / "folder")
(tmp / "served").mkdir()
file = export(open_model(tmp / "folder", CPU), "npz", tmp / "served" / "tiny.npz")
found = open_model(file, CPU)
assert found.config == TINY and torch.equal(found.model(IDS), model(IDS))
assert open_model(tmp / "served", CPU).path == file, "the one model file of a folder"
assert read_model_summary(str(file)).config == TINY
assert [each.name for each in ModelRegistry({}, tmp / "served").listed()] == ["tiny:latest"]
back = open_model(export(found, "hf", tmp / "back"), CPU)
assert torch.equal(back.model(IDS), model(IDS))
""",
)

CHANGES = (ACTIVATION, POSITIONS, FAMILY, FILTER, FORMAT)

# What every use may name.
BEFORE_USE = """
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from groundup.device import Compute
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.formats import export

CPU = Compute(torch.device("cpu"))
TINY = ModelConfig(vocab_size=300, context_tokens=32, width=32, num_layers=1, num_heads=2, feedforward_width=64)
IDS = torch.arange(8)[None]
TOKENIZER = train_tokenizer(["the quick brown fox jumps over the lazy dog. "] * 20, 300)
"""
RUN_ALL = """
import json, sys, traceback

names = {}
exec(sys.argv[1], names)
found = {}
for row, use in json.loads(sys.argv[2]).items():
    with names["tempfile"].TemporaryDirectory() as folder:
        try:
            exec(use, {**names, "tmp": names["Path"](folder)})
            found[row] = ""
        except Exception:
            found[row] = traceback.format_exc()
print(json.dumps(found))
"""


def apply(change: Change, package: Path) -> None:
    for file, content in change.new_files:
        assert not (package / file).exists(), f"{file} is there already"
        (package / file).write_text(content, encoding="utf-8")
    for file, anchor, text in change.inserted:
        content = (package / file).read_text(encoding="utf-8")
        assert anchor in content, f"{file} has no {anchor!r}"
        (package / file).write_text(content.replace(anchor, text + anchor, 1), encoding="utf-8")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Row -> "", or the traceback of its use."""
    root = tmp_path_factory.mktemp("changed")
    shutil.copytree(PACKAGE, root / "groundup", ignore=shutil.ignore_patterns("__pycache__"))
    for change in CHANGES:
        apply(change, root / "groundup")
    uses = json.dumps({change.row: change.use for change in CHANGES})
    command = [sys.executable, "-c", RUN_ALL, BEFORE_USE, uses]
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.row)
def test_an_addition_works_with_the_files_that_the_tour_names(change: Change, outcomes: dict[str, str]) -> None:
    assert outcomes[change.row] == ""


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.row)
def test_the_tour_names_exactly_the_files_of_an_addition(change: Change) -> None:
    row = re.search(rf"^\| {re.escape(change.row)} \| (.*) \|$", TOUR.read_text(encoding="utf-8"), re.MULTILINE)
    assert row, f"docs/tour.md has no row {change.row!r}"
    named = {path for path in re.findall(r"`([\w/]+(?:/|\.py))`", row[1]) if not path.startswith("tests/")}
    folders = {path for path in named if path.endswith("/")}
    assert {f"{Path(file).parent.as_posix()}/" for file, _ in change.new_files} == folders
    assert {file for file, *_ in change.inserted} == named - folders
