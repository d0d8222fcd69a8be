"""`groundup tokenizer train | import | compare | show`."""

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from groundup.cli.tokenizer import app, visible
from groundup.errors import ConfigError, DataError, FormatError, GroundupError, ModelError
from groundup.files import verify_folder
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import gguf_metadata

TEXT = (
    "The tokenizer cuts the text into tokens, and the tokens are numbers: 1, 12, 123, 1234.\n" * 20
)


def ran(*args: str) -> str:
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*args: str) -> GroundupError:
    with pytest.raises(GroundupError) as error:
        ran(*args)
    return error.value


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(TEXT, encoding="utf-8")
    ran("train", str(tmp_path / "texts"), "--out", str(tmp_path / "tok"), "--vocab-size", "300")
    return tmp_path / "tok"


def test_a_trained_tokenizer_is_a_verified_folder(trained: Path) -> None:
    verify_folder(trained)
    assert Tokenizer.load(trained).vocab_size == 300


def test_training_again_replaces_it_and_json_says_what_was_read(
    trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a b"}\n' * 300 + "not json\n", encoding="utf-8")
    told = json.loads(
        ran(
            "train",
            str(tmp_path / "t.jsonl"),
            "--out",
            str(trained),
            "--vocab-size",
            "270",
            "--json",
        )
    )
    assert (told["documents"], told["bad_lines"]) == (300, 1)
    assert told["vocab_size"] == Tokenizer.load(trained).vocab_size == told["merges"] + 264
    assert told["fingerprint"] == Tokenizer.load(trained).fingerprint


def test_it_is_trained_on_several_sources(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "more.jsonl").write_text('{"text": "More of it."}\n', encoding="utf-8")
    sources = [str(tmp_path / "texts"), str(tmp_path / "more.jsonl")]
    out = json.loads(
        ran("train", *sources, "--out", str(tmp_path / "tok2"), "--vocab-size", "300", "--json")
    )
    assert (out["documents"], out["characters"]) == (2, len(TEXT) + len("More of it."))


def test_of_more_text_than_the_sample_a_part_is_chosen_and_said(tmp_path: Path) -> None:
    rows = (
        json.dumps({"text": f"row {number} of many {number * 7919}. " * 400}) + "\n"
        for number in range(100)
    )
    (tmp_path / "t.jsonl").write_text("".join(rows), encoding="utf-8")
    for out, sample in (("part", ["--sample-bytes", "300kB"]), ("all", [])):
        words = [
            "train",
            str(tmp_path / "t.jsonl"),
            "--out",
            str(tmp_path / out),
            "--vocab-size",
            "400",
            *sample,
        ]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert ("The tokenizer is trained on 0.3 of 0.9 MB" in result.stderr) == (out == "part")
    prints = {Tokenizer.load(tmp_path / out).fingerprint for out in ("part", "all")}
    assert len(prints) == 2
    assert (
        "sample-bytes"
        in refused("train", "x", "--out", str(tmp_path / "x"), "--sample-bytes", "0").message
    )


def test_a_bad_line_is_told_and_refused_when_strict(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a b"}\n' * 300 + "not json\n", encoding="utf-8")
    told = ran("train", str(tmp_path / "t.jsonl"), "--out", str(tmp_path / "tok"))
    assert "1 of 301 lines could not be used" in told
    error = refused(
        "train", str(tmp_path / "t.jsonl"), "--out", str(tmp_path / "strict"), "--strict"
    )
    assert isinstance(error, DataError)
    assert not (tmp_path / "strict").exists()


def test_the_encoding_of_texts_is_told_or_asked_for(tmp_path: Path) -> None:
    (tmp_path / "west.txt").write_bytes(("Café, naïve, señor, Zürich. " * 30).encode("cp1252"))
    (tmp_path / "east.txt").write_bytes(("Лиса и курица поют о море. " * 30).encode("cp1251"))
    command = ("train", "--out", str(tmp_path / "tok"), "--vocab-size", "300")
    assert "1 files were read as cp1252 (west.txt)" in ran(*command, str(tmp_path / "west.txt"))
    assert "`charset` cp1251" in refused(*command, str(tmp_path / "east.txt")).fix
    told = json.loads(ran(*command, str(tmp_path / "east.txt"), "--charset", "CP1251", "--json"))
    assert (told["charsets"], told["invalid_bytes"]) == ({"cp1251": 1}, 0)
    assert "auto" in refused(*command, str(tmp_path / "east.txt"), "--charset", "hex").fix


def test_a_folder_with_other_things_is_never_replaced(trained: Path, tmp_path: Path) -> None:
    (trained / "thesis.txt").write_text("years of work")
    error = refused("train", str(tmp_path / "texts"), "--out", str(trained))
    assert isinstance(error, ConfigError)
    assert "thesis.txt" in error.message
    assert (trained / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_has_nothing_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert isinstance(
        refused("train", str(tmp_path / "none"), "--out", str(tmp_path / "tok")), DataError
    )


def test_show_prints_each_token_with_its_id(trained: Path) -> None:
    tokenizer = Tokenizer.load(trained)
    told = ran("show", str(trained), "the <|im_end|>\n")
    for id in tokenizer.encode("the <|im_end|>\n"):
        assert f"{visible(tokenizer.token_bytes(id))} {id}" in told
    assert str(tokenizer.special.eos_id) not in told
    assert "bytes per token" in told


def test_show_as_json_has_every_byte(trained: Path) -> None:
    told = json.loads(ran("show", str(trained), "the 😀", "--json"))
    assert b"".join(bytes(token["bytes"]) for token in told["tokens"]).decode() == "the 😀"


def test_show_of_no_text_is_no_tokens(trained: Path) -> None:
    assert ran("show", str(trained), "") == "\n0 tokens, 0 bytes\n"


def test_show_reads_the_tokenizer_of_a_gguf(trained: Path, tmp_path: Path) -> None:
    import gguf

    path = tmp_path / "vocabulary.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    for key, value in gguf_metadata(Tokenizer.load(trained)).items():
        add = {
            bool: writer.add_bool,
            int: writer.add_uint32,
            str: writer.add_string,
            list: writer.add_array,
        }
        add[type(value)](key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert ran("show", str(path), "the text 12") == ran("show", str(trained), "the text 12")


def test_an_unknown_model_is_named() -> None:
    error = refused("show", "no-such-model", "x")
    assert isinstance(error, ModelError)
    assert "no-such-model" in error.message


@pytest.mark.parametrize("size", ["256", "200000"])
def test_both_ends_of_the_range_are_trained_and_a_text_with_fewer_ids_says_so(
    size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    command = (
        "train",
        str(tmp_path / "a.txt"),
        "--out",
        str(tmp_path / "tok"),
        "--vocab-size",
        size,
        "--json",
    )
    told = json.loads(ran(*command))
    tokenizer = Tokenizer.load(tmp_path / "tok")
    assert (
        told["vocab_size"]
        == tokenizer.vocab_size
        == (256 if size == "256" else told["merges"] + 264)
    )
    assert tokenizer.decode(tokenizer.encode(TEXT + "é漢😀\x00")) == TEXT + "é漢😀\x00"
    result = CliRunner().invoke(app, list(command))
    assert ("200,000 ids were asked for: the text has no more" in result.stderr) == (
        size == "200000"
    )


@pytest.mark.parametrize("size", ["255", "0", "-5", "1000001"])
def test_sizes_out_of_the_range_are_refused(size: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    error = refused(
        "train", str(tmp_path / "a.txt"), "--out", str(tmp_path / "tok"), "--vocab-size", size
    )
    assert f"256 to 1,000,000 (got {size})" in error.message
    assert not (tmp_path / "tok").exists()


@pytest.mark.parametrize("kind", ["byte", "character"])
def test_tokenizers_for_teaching_are_made_shown_and_compared(
    kind: str, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / kind
    told = json.loads(
        ran("train", str(tmp_path / "texts"), "--kind", kind, "--out", str(out), "--json")
    )
    assert (told["kind"], told["merges"], told["documents"]) == (
        kind,
        0,
        0 if kind == "byte" else 1,
    )
    verify_folder(out)
    assert "3 tokens, 3 bytes" in ran("show", str(out), "The")
    rows = json.loads(
        ran("compare", str(out), str(trained), "--text", str(tmp_path / "texts"), "--json")
    )["tokenizers"]
    assert [row["name"] for row in rows] == [kind, "tok"]
    assert rows[0]["bytes_per_token"] == 1.0 < rows[1]["bytes_per_token"]


def test_only_a_byte_tokenizer_needs_no_texts(tmp_path: Path) -> None:
    assert "264 ids from no text" in ran("train", "--kind", "byte", "--out", str(tmp_path / "b"))
    assert (
        "none are named"
        in refused("train", "--kind", "character", "--out", str(tmp_path / "c")).message
    )
    assert "character" in refused("train", "--kind", "char", "--out", str(tmp_path / "c")).fix


def test_what_is_imported_has_the_same_ids_and_says_what_it_was_checked_with(
    trained: Path, tmp_path: Path
) -> None:
    file = trained / "tokenizer.json"
    told = json.loads(ran("import", str(file), "--out", str(tmp_path / "theirs"), "--json"))
    assert (
        told["fingerprint"]
        == Tokenizer.load(trained).fingerprint
        == Tokenizer.load(tmp_path / "theirs").fingerprint
    )
    assert told["checked_with"].startswith("tokenizers ") and told["checked_texts"] > 300
    verify_folder(tmp_path / "theirs")
    assert json.loads((tmp_path / "theirs" / "manifest.json").read_text())["imported"][
        "source"
    ] == str(file)
    assert "the same ids as tokenizers" in ran(
        "import", str(trained), "--out", str(tmp_path / "theirs")
    )


def test_ranks_of_tiktoken_are_imported_with_their_pattern(tmp_path: Path) -> None:
    tokens = [bytes([byte]) for byte in range(256)] + [b"th", b"the"]
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]
    (tmp_path / "x.tiktoken").write_text("\n".join(lines), encoding="utf-8")
    error = refused("import", str(tmp_path / "x.tiktoken"), "--out", str(tmp_path / "tok"))
    assert isinstance(error, ConfigError) and "`pattern`" in error.fix
    assert not (tmp_path / "tok").exists()
    ran(
        "import",
        str(tmp_path / "x.tiktoken"),
        "--out",
        str(tmp_path / "tok"),
        "--pattern",
        "o200k_base",
    )
    assert Tokenizer.load(tmp_path / "tok").encode("the") == [257]


def test_a_refused_import_leaves_what_was_there(trained: Path, tmp_path: Path) -> None:
    before = Tokenizer.load(trained).fingerprint
    (tmp_path / "bad.json").write_text(
        '{"model": {"type": "Unigram", "vocab": []}}', encoding="utf-8"
    )
    assert isinstance(
        refused("import", str(tmp_path / "bad.json"), "--out", str(trained)), FormatError
    )
    assert Tokenizer.load(trained).fingerprint == before


def test_compare_prints_tables_and_writes_a_page(trained: Path, tmp_path: Path) -> None:
    ran("train", "--kind", "byte", "--out", str(tmp_path / "byte"))
    (tmp_path / "de.txt").write_text(
        "Der Hund sieht die Katze an, die auf der Matte schläft. " * 5, encoding="utf-8"
    )
    texts = ("--text", str(tmp_path / "texts"), "--text", str(tmp_path / "de.txt"))
    page = tmp_path / "page.html"
    told = ran(
        "compare",
        str(trained),
        str(tmp_path / "byte"),
        *texts,
        "--model",
        "64x2",
        "--out",
        str(page),
    )
    assert "embeddings of 64x2" in told and "bytes/token by source" in told
    assert "default-src 'none'" in page.read_text(encoding="utf-8")


def test_compare_refuses_in_one_sentence(trained: Path, tmp_path: Path) -> None:
    texts = ("--text", str(tmp_path / "texts"))
    assert "named twice" in refused("compare", str(trained), str(trained), *texts).message
    assert "No texts are named" in refused("compare", str(trained)).message
    assert "neither a preset" in refused("compare", str(trained), *texts, "--model", "big").message
    assert "is not a size" in refused("compare", str(trained), *texts, "--sample", "some").message
    assert "above 0" in refused("compare", str(trained), *texts, "--sample", "0").message
    assert (
        "nowhere" in refused("compare", str(trained), "--text", str(tmp_path / "nowhere")).message
    )


def test_show_reads_a_file_and_writes_a_page(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("the text\n<b>12</b>", encoding="utf-8")
    page = tmp_path / "page.html"
    assert ran("show", str(trained), str(tmp_path / "letter.txt"), "--out", str(page)) == ""
    html = page.read_text(encoding="utf-8")
    assert html.count("data-tip") == 1 + len(Tokenizer.load(trained).encode("the text\n<b>12</b>"))
    assert "<b>12" not in html
    told = json.loads(
        ran("show", str(trained), str(tmp_path / "letter.txt"), "--out", str(page), "--json")
    )
    assert b"".join(bytes(token["bytes"]) for token in told["tokens"]) == b"the text\n<b>12</b>"
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    assert "is not UTF-8" in refused("show", str(trained), str(tmp_path / "photo.jpg")).message


def test_tokens_are_written_for_the_eye() -> None:
    assert visible(b" a\n") == "·a⏎"
    assert visible("é😀".encode()) == "é😀"
    assert visible(b"\xf0\x9f") == r"\xf0\x9f"
    assert visible(b"\x00\t\x1b") == r"\x00\t\x1b"
