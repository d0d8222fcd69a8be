"""Tokenizers of elsewhere: the same ids as the library that they were made for, or a refusal in one sentence."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import tiktoken

from groundup.errors import ConfigError, FormatError, ModelError, NetworkError
from groundup.evaluate import tokenizers
from groundup.evaluate.tokenizers import SAMPLES, import_tokenizer, open_tokenizer
from groundup.progress import Progress
from groundup.tokenizer.fast import CONFIG_FILE, TOKENIZER_FILE, Tokenizer, train_tokenizer
from groundup.tokenizer.formats import gguf_metadata
from groundup.tokenizer.kinds import character_tokenizer
from groundup.weights.gguf_config import add_metadata

TEXT = (
    "The tokenizer cuts the text into tokens, and the tokens are numbers: 1, 12, 123, 1234. <think> é 漢\n"
    * 5
)
NEXT = 300  # the first id that is free


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([TEXT], NEXT)


@pytest.fixture
def spec(tokenizer: Tokenizer) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(tokenizer.table.to_json()))
    return made


def written(folder: Path, spec: dict[str, Any], **config: Any) -> Path:
    (folder / TOKENIZER_FILE).write_text(json.dumps(spec), encoding="utf-8")
    (folder / CONFIG_FILE).write_text(
        json.dumps({"eos_token": "<|im_end|>", **config}), encoding="utf-8"
    )
    return folder


def write_vocabulary(tokenizer: Tokenizer, file: Path, **changed: Any) -> Path:
    writer = gguf.GGUFWriter(str(file), "llama")
    add_metadata(writer, gguf_metadata(tokenizer) | changed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_a_tokenizer_json_and_its_folder_keep_their_ids(
    tokenizer: Tokenizer, spec: Any, tmp_path: Path
) -> None:
    for source in (written(tmp_path, spec), tmp_path / TOKENIZER_FILE):
        found = import_tokenizer(str(source))
        assert found.tokenizer.fingerprint == tokenizer.fingerprint
        assert (found.checked_with.split()[0], found.checked_texts) == ("tokenizers", len(SAMPLES))


def test_added_words_are_checked_in_a_context(spec: Any, tmp_path: Path) -> None:
    word = {
        "id": NEXT,
        "content": "<think>",
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
    }
    spec["added_tokens"].append({**word, "special": False})
    found = import_tokenizer(str(written(tmp_path, spec)))
    assert found.checked_texts == len(SAMPLES) + 4
    assert NEXT in found.tokenizer.encode("a<think>b")


@pytest.mark.parametrize("flag", ["lstrip", "single_word"])
def test_a_flag_that_changes_ids_is_refused_not_ignored(
    flag: str, spec: Any, tmp_path: Path
) -> None:
    """The table has no such flags: only the comparison with the library shows what they do."""
    word = {
        "id": NEXT,
        "content": "<think>",
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
    }
    spec["added_tokens"].append({**word, "special": False, flag: True})
    with pytest.raises(FormatError, match=r"ids: of '.*<think>.* in tokenizers"):
        import_tokenizer(str(written(tmp_path, spec)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": {"type": "Unigram", "vocab": []}}, "is of type 'Unigram'"),
        ({"normalizer": {"type": "NFKC"}}, "normalizer: is not supported"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer: splits text in an unknown way"),
    ],
)
def test_what_is_not_supported_is_one_sentence(
    change: Any, reason: str, spec: Any, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=reason):
        import_tokenizer(str(written(tmp_path, spec | change)))


def test_the_end_of_a_text_can_be_named(spec: Any, tmp_path: Path) -> None:
    spec["added_tokens"] = [{**spec["added_tokens"][0], "content": "[END]"}]
    (tmp_path / TOKENIZER_FILE).write_text(json.dumps(spec), encoding="utf-8")
    with pytest.raises(FormatError, match="no token ends a text"):
        import_tokenizer(str(tmp_path))
    found = import_tokenizer(str(tmp_path), eos="[END]").tokenizer
    assert found.special.eos_id == spec["added_tokens"][0]["id"]
    with pytest.raises(FormatError, match=r"'\[STOP\]', which is not a control token"):
        import_tokenizer(str(tmp_path), eos="[STOP]")


def test_an_encoding_of_tiktoken_is_imported_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"th": 256, b"the": 257}
    special = {"<|endoftext|>": 260}
    pattern = tokenizers.tiktoken_encoding.__globals__["PUBLISHED"]["cl100k_base"].pattern
    encoding = tiktoken.Encoding(
        "c", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special
    )
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: encoding)
    found = import_tokenizer("tiktoken:cl100k_base")
    assert found.tokenizer.encode("the\n ") == [257, 10, 32] == encoding.encode_ordinary("the\n ")
    assert found.tokenizer.special.tokens == special
    assert found.checked_with.startswith("tiktoken ")


@pytest.mark.parametrize("kind", ["bpe", "character"])
def test_a_gguf_is_checked_against_llamacpp(
    kind: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    made = tokenizer if kind == "bpe" else character_tokenizer([TEXT])
    found = import_tokenizer(str(write_vocabulary(made, tmp_path / "v.gguf")))
    assert (found.checked_with.split()[0], found.checked_texts) == ("xllamacpp", len(SAMPLES))
    assert found.tokenizer.encode(TEXT) == made.encode(TEXT)


def test_a_gguf_in_which_llamacpp_sees_something_else_is_refused(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    file = write_vocabulary(tokenizer, tmp_path / "v.gguf")
    metadata = tokenizers.read_gguf_header(file).metadata
    other = {**metadata, "tokenizer.ggml.merges": metadata["tokenizer.ggml.merges"][::-1]}
    real = tokenizers.write_vocabulary
    monkeypatch.setattr(tokenizers, "write_vocabulary", lambda _, made: real(other, made))
    with pytest.raises(FormatError, match="in xllamacpp"):
        import_tokenizer(str(file))


def test_without_llamacpp_it_says_that_nothing_was_checked(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers.importlib.util, "find_spec", lambda name: None)
    said: list[str] = []

    class Said:
        def say(self, text: str) -> None:
            said.append(text)

    found = import_tokenizer(str(write_vocabulary(tokenizer, tmp_path / "v.gguf")), progress=Said())  # type: ignore[arg-type]
    assert found.checked_with == "" and "groundup[demo]" in said[0]


def test_the_hub_is_asked_for_the_tokenizers_files_only(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull(repository: str, folder: Path, progress: Progress) -> None:
        if repository == "owner/model":
            tokenizer.save(folder)

    monkeypatch.setattr(tokenizers, "pull_tokenizer", pull)
    assert open_tokenizer("hf:owner/model").fingerprint == tokenizer.fingerprint
    assert import_tokenizer("hf:owner/model").checked_texts == len(SAMPLES)
    with pytest.raises(ModelError, match=r"owner/other has no tokenizer\.json"):
        open_tokenizer("hf:owner/other")


def test_a_hub_that_is_not_reached_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("huggingface_hub")
    from groundup.progress import Silent
    from groundup.weights import model_hub

    def offline(*args: object, **options: object) -> None:
        assert options["patterns"] == model_hub.TOKENIZER_FILES
        raise OSError("Name or service not known")

    monkeypatch.setattr(model_hub, "download_from_hub", offline)
    with pytest.raises(
        NetworkError, match=r"owner/model could not be fetched: Name or service not known\. "
    ) as error:
        model_hub.pull_tokenizer("owner/model", tmp_path, Silent())
    assert "tokenizer.json" in error.value.fix


def test_nothing_of_that_name_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder or file"):
        open_tokenizer(str(tmp_path / "nowhere"))
    with pytest.raises(FormatError, match="is missing"):
        open_tokenizer(str(tmp_path / "nowhere.tiktoken"), pattern="gpt2")
    with pytest.raises(ConfigError, match="no encoding"):
        open_tokenizer("tiktoken:")
