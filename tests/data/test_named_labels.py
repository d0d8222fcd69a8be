"""Labels by the names of files and folders: what counts as a label, what is recognised, what is refused."""

from pathlib import Path

import pytest

from groundup.data.reading.data import Data
from groundup.data.reading.examples import has_name_labels, labels_of_names, read_labelled
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.errors import DataError


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["spam.mbox", "ham.mbox.gz"], ["spam", "ham"]),
        (["spam/1.txt", "ham/2001/2.txt"], ["spam", "ham"]),
        (["enron/spam/1.txt", "enron/ham/2.txt"], ["spam", "ham"]),
        (["mail.zip!spam/1.eml", "mail.zip!ham/2.eml"], ["spam", "ham"]),
        (["1.txt", "2.txt"], []),
        (["spam.mbox", "ham/1.eml", "about.txt"], ["spam", "ham"]),
        (["my.news.mbox"], ["my.news"]),
        (["letters/1.eml"], []),
        ([], []),
    ],
)
def test_a_label_is_the_name_of_a_mailbox_or_of_the_first_folder_that_differs(
    names: list[str], labels: list[str]
) -> None:
    assert list(labels_of_names(names).values()) == labels


def folder_of(root: Path, files: dict[str, str]) -> Source:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Source(str(root))


def test_folders_of_texts_are_recognised_and_rows_come_first(tmp_path: Path) -> None:
    by_folder = {"calm/1.txt": "See you\r\nthere.", "loud/1.txt": "WIN NOW", "loud/2.md": "FREE"}
    source = folder_of(tmp_path / "a", by_folder)
    assert [(e.label, e.text) for e in read_labelled(Data(source.spec))] == [
        ("calm", "See you\nthere."),
        ("loud", "WIN NOW"),
        ("loud", "FREE"),
    ]
    assert not has_name_labels(source, SourceOptions(label="kind"))
    tabbed = "ham\tsee you\nspam\tWIN\nham\tlater\n"
    rows = folder_of(tmp_path / "b", {"x/1.txt": tabbed, "y/2.txt": tabbed})
    assert {e.label for e in read_labelled(Data(rows.spec))} == {"ham", "spam"}
    assert {e.label for e in read_labelled(Data(rows.spec, label_from="name"))} == {"x", "y"}
    mixed = folder_of(
        tmp_path / "c", by_folder | {"rows.csv": "text,label\nsee you,ham\nWIN,spam\n"}
    )
    assert not has_name_labels(mixed, SourceOptions())


def test_one_label_only_is_refused_with_what_to_do(tmp_path: Path) -> None:
    source = folder_of(tmp_path, {"1.txt": "See you.", "2.txt": "Win."})
    with pytest.raises(DataError, match="give no label; two are needed") as caught:
        read_labelled(Data(source.spec, label_from="name"))
    assert "spam.mbox and ham.mbox" in str(caught.value.fix)
