"""Nothing is lost uncounted: read = kept + dropped + bad, for each source, in documents and in characters, in every format of rows."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_rows import SUFFIXES, write_rows

from groundup.data.clean import clean
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.data_card import DataCard
from groundup.data.preparation.pipeline import CARD_FILE, DROPPED_FILE, prepare
from groundup.data.reading.source_files import Source
from groundup.data.split import SPLITS, read_split
from groundup.errors import DataError
from groundup.progress import Silent

FEW = settings(
    max_examples=settings.default.max_examples // 3, suppress_health_check=[HealthCheck.too_slow]
)
# Surrogates can't be encoded; "\0" makes a file binary; a CSV cell of other line ends is changed by every CSV writer.
TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=60),
    min_size=1,
    max_size=30,
)
LONG = "A long text keeps both splits filled. " * 40


def prepared(folder: Path, *, strict: bool = False) -> tuple[DataCard, Path]:
    out = folder.parent / "out"
    config = DataConfig(validation_fraction=0.3, keep_dropped=True, strict=strict)
    return prepare([Source(str(folder))], out, config, progress=Silent()), out


@pytest.mark.parametrize("suffix", SUFFIXES)
@FEW
@given(rows=TEXTS)
def test_every_document_and_character_read_is_kept_or_dropped(suffix: str, rows: list[str]) -> None:
    if suffix == ".txt":  # a short file of control characters is binary
        rows = ["".join(c for c in text if c.isprintable() or c in "\n\t") for text in rows]
    rows = [*rows, LONG, LONG]
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "texts"
        folder.mkdir()
        write_rows(folder, suffix, rows)
        card, out = prepared(folder)
        (source,) = card.sources
        assert source.read.documents == len(rows) and source.read.bad_documents == 0
        assert source.read.characters == sum(map(len, rows))
        assert source.kept_documents + source.dropped_documents == len(rows)
        assert (
            source.kept_characters + source.cleaned_characters + source.dropped_characters
            == sum(map(len, rows))
        )
        assert sum(tally.count for tally in source.dropped.values()) == source.dropped_documents
        dropped = [json.loads(line) for line in (out / DROPPED_FILE).read_bytes().splitlines()]
        assert [row["reason"] for row in dropped].count("empty") == sum(
            not clean(text).text.strip() for text in rows
        )
        assert sum(len(row["text"]) for row in dropped) == source.dropped_characters
        kept = [document for split in SPLITS for document in read_split(out, split)]
        assert card.cuts or len(kept) == source.kept_documents


BAD = {
    ".jsonl": ['{"text": "cut', '{"other": "x"}', "[1, 2]", '{"text": 5}'],
    ".csv": ["one field", "three,fields,here"],
}


@pytest.mark.parametrize("suffix", list(BAD))
@FEW
@given(data=st.data())
def test_bad_rows_are_counted_with_their_characters(suffix: str, data: st.DataObject) -> None:
    good = [
        f'{{"text": "good text {n}"}}' if suffix == ".jsonl" else f"good text {n},x"
        for n in range(500)
    ]
    bad = data.draw(st.lists(st.sampled_from(BAD[suffix]), max_size=4))
    lines = good[:250] + bad + good[250:]
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "texts"
        folder.mkdir()
        header = [] if suffix == ".jsonl" else ["text,other"]
        (folder / f"a{suffix}").write_text("\n".join([*header, *lines]) + "\n")
        card, out = prepared(folder)
        (source,) = card.sources
        assert (source.read.documents, source.read.bad_documents) == (500, len(bad))
        assert source.read.bad_characters == sum(map(len, bad))
        assert json.loads((out / CARD_FILE).read_text())["sources"][0]["read"][
            "bad_documents"
        ] == len(bad)
        if bad:
            with pytest.raises(DataError, match=f"a{suffix} line {251 + len(header)}"):
                prepared(folder, strict=True)


def test_an_unclosed_quote_is_one_bad_row_with_all_of_its_characters(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    rows = "".join(f"good text {n},x\n" for n in range(1000))
    (folder / "a.csv").write_text(f'text,other\n{rows}"never closed\nto the end\n')
    card, _ = prepared(folder)
    read = card.sources[0].read
    assert (read.documents, read.bad_documents, read.bad_characters) == (
        1000,
        1,
        len('"never closed') + len("to the end"),
    )
