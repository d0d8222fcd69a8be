"""`groundup app`: a model as a page, or (marked `slow`) as a program with Python inside."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from groundup.bundle.app import APP
from groundup.bundle.interpreter import VERSION, least_glibc, needed
from groundup.cli.main import run
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_format import manifest_value
from groundup.weights.model_io import save_model
from groundup.weights.verify import verify_path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tokenizer = train_tokenizer(["to be, or not to be, that is the question " * 3], 300)
    shape = {"width": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2}
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_tokens=32, feedforward_width=32, **shape
    )
    made = LanguageModel(config)
    initialise(made, torch.Generator().manual_seed(3))
    save_model(made, tmp_path / "small", tokenizer)
    return tmp_path / "small"


def test_a_small_model_is_a_page_that_says_how_to_open_it(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "app"
    assert run(["app", str(model), "--out", str(out), "--with-model", "--json"]) == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    assert "no documents to answer from, so --with-model changes nothing" in said.err
    assert made["form"] == "page" and "</html>" in (out / "model.html").read_text()
    assert "Open model.html in a browser" in (out / "README.txt").read_text()
    assert verify_path(out).unlisted == 0
    assert manifest_value(out, APP) == "page"  # which `app` may replace, and nothing else


def test_an_unknown_form_is_one_sentence_and_nothing_is_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "app"
    assert run(["app", str(model), "--out", str(out), "--form", "apk"]) == 2
    assert "Forms: page, program." in capsys.readouterr().err and not out.exists()


def test_a_program_has_the_packages_that_serving_needs_and_no_installer() -> None:
    names = {found.metadata["Name"].lower() for found in needed("groundup", ("serve",))}
    assert {"groundup", "torch", "starlette", "uvicorn", "h11"} <= names
    assert not {"pip", "pytest", "matplotlib"} & names


def test_the_c_library_that_is_needed_is_read_from_the_files(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_bytes(b"..GLIBC_2.9\0GLIBC_2.17\0")
    (tmp_path / "libx.so.1").write_bytes(b"GLIBC_2.34\0GLIBC_PRIVATE\0")
    assert least_glibc(tmp_path) == "2.34"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is made on Linux only")
def test_a_program_answers_from_another_place_with_nothing_of_this_environment(
    model: Path, tmp_path: Path
) -> None:
    made = tmp_path / "app"
    assert run(["app", str(model), "--out", str(made), "--form", "program"]) == 0
    app = tmp_path / "carried over" / "app"
    app.parent.mkdir()
    shutil.move(made, app)
    assert verify_path(app).unlisted == 0
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    done = subprocess.run(
        [app / "start.sh", "--check"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "serves small" in done.stdout
    asked = "import sys, torch, groundup; print(sys.prefix, torch.__file__, groundup.__file__)"
    python = app / "python" / "bin" / "python3"
    libraries = {**environment, "LD_LIBRARY_PATH": str(app / "python" / "libs")}
    said = subprocess.run(
        [python, "-I", "-c", asked], env=libraries, capture_output=True, text=True, check=True
    )
    assert said.stdout.count(str(app / "python")) == 3 and VERSION in said.stdout
