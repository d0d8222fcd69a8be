"""A model is pretrained on bytes, on characters and on an imported vocabulary, and is exported or refused in one sentence."""

from pathlib import Path

import pytest

from groundup.api.training import pretrain
from groundup.cli.main import run
from groundup.evaluate.llamacpp import llama_server
from groundup.planning.pretrain_config import ModelShape, PretrainConfig, TextPreparation
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.kinds import make_tokenizer, require_kind

TEXT = "To be, or not to be: that is the question. Käse und Brot.\n\n"


@pytest.mark.parametrize("kind", ["byte", "character"])
def test_pretraining_on_a_teaching_tokenizer_and_its_export(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(40):
        (tmp_path / "texts" / f"{number}.txt").write_text(f"{number}. {TEXT}" * 8, encoding="utf-8")
    tokenizer = make_tokenizer(require_kind(kind), [TEXT])
    tokenizer.save(tmp_path / "tok")
    out = tmp_path / "run"
    results = pretrain(
        tmp_path / "texts",
        out,
        PretrainConfig(
            steps=3, model=ModelShape(depth=1), texts=TextPreparation(tokenizer=tmp_path / "tok")
        ),
        device="cpu",
    )
    assert 0 < results.bits_per_byte < 12
    assert Tokenizer.load(RunFolder(out).path).fingerprint == tokenizer.fingerprint
    assert run(["convert", str(out), "--to", "hf", "--out", str(tmp_path / "hf")]) == 0
    capsys.readouterr()
    status = run(["convert", str(out), "--to", "gguf", "--out", str(tmp_path / "m.gguf")])
    if kind == "byte":
        assert status == 2
        assert (
            "no merges, and llama.cpp loads no byte-level tokenizer without"
            in capsys.readouterr().err
        )
        assert not (tmp_path / "m.gguf").exists()
        return
    assert status == 0
    pytest.importorskip("xllamacpp")
    with llama_server(tmp_path / "m.gguf", context_tokens=64) as server:
        for text in (TEXT, "€ 漢 <|im_end|>", "  two  spaces\n\n"):
            assert server.encode(text) == tokenizer.encode(text)
