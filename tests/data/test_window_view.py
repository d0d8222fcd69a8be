"""The values of `data windows`: counts by hand, rows that are those of training, tokens around the end of a document."""

from pathlib import Path

import numpy as np
import pytest

from groundup.data.batches import window_view as view_module
from groundup.data.batches.loader import Windows
from groundup.data.batches.shards import ShardSet, SplitTable, open_shards
from groundup.data.batches.window_view import count_cuts, find_shards, window_view
from groundup.errors import DataError
from groundup.tokenizer.fast import Tokenizer


def of_lengths(*lengths: int) -> np.ndarray:
    tokens = np.ones(sum(lengths), "<u2")
    tokens[np.cumsum(lengths) - 1] = 0
    return tokens


@pytest.mark.parametrize(
    ("lengths", "several", "cut"),
    [
        ((8, 8, 1), 0, 0),  # each ends with its window
        ((9, 8), 1, 0),  # the end of the first is the last label of the first window
        ((10, 7), 1, 1),
        ((4, 4, 9), 1, 0),
        ((17,), 0, 1),
        ((3, 20, 2), 2, 1),
    ],
)
@pytest.mark.parametrize("section", [8, 2**24])
def test_windows_of_several_documents_and_documents_in_several_windows_are_counted(
    monkeypatch: pytest.MonkeyPatch, lengths: tuple[int, ...], several: int, cut: int, section: int
) -> None:
    monkeypatch.setattr(view_module, "SECTION_TOKENS", section)
    assert count_cuts(of_lengths(*lengths), 8) == (several, cut)


def test_the_values_are_those_of_the_loader(shards: ShardSet, tokenizer: Tokenizer) -> None:
    view = window_view(shards, tokenizer, context_tokens=16, stride=5)
    plain, strided = (Windows(shards, "train", 16, 1, 0, stride) for stride in (None, 5))
    assert (view.windows["count"], view.strided["count"]) == (
        plain.num_windows,
        strided.num_windows,
    )
    assert view.packing["tokens"] == len(plain.tokens) - view.documents
    for kind in ("windows", "packed"):
        assert all(0 < sum(piece["tokens"] for piece in row) <= 16 for row in view.rows[kind])
    middle = view.shown[1]
    assert any(piece and piece["end"] for window in view.shown for piece in window["pieces"])
    kept = [piece for piece in middle["pieces"] if piece]
    assert all(
        tokenizer.decode([int(plain.tokens[piece["place"]])]) == piece["text"]
        for piece in kept
        if not piece["end"]
    )
    assert kept[-1]["place"] == middle["start"] + 16


def test_a_document_is_whole_cut_or_continued(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tokens = of_lengths(20, 3, 6)
    tokens[tokens == 0] = tokenizer.special.document_end_id
    tokens.tofile(tmp_path / "train.bin")
    shards = ShardSet(tmp_path, "uint16", 400, "none", {"train": SplitTable(29, 3, 1, "")})
    rows = window_view(shards, tokenizer, context_tokens=8).rows
    flat = [
        [(p["document"], p["tokens"], p["begins"], p["ends"]) for p in row]
        for row in rows["windows"]
    ]
    assert flat == [
        [(0, 8, True, False)],
        [(0, 8, False, False)],
        [(0, 4, False, True), (1, 3, True, True), (2, 1, True, False)],
    ]
    flat = [
        [(p["document"], p["tokens"], p["begins"], p["ends"]) for p in row]
        for row in rows["packed"]
    ]
    assert sorted(flat) == [
        [(0, 3, False, True), (2, 5, True, True)],
        [(0, 8, False, False)],
        [(0, 8, True, False)],
        [(1, 2, True, True)],
    ]


def test_the_shards_of_a_run_and_of_a_build_are_found(shards: ShardSet, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "shards").symlink_to(shards.folder)
    assert open_shards(find_shards(tmp_path / "run")).fingerprint == shards.fingerprint
    assert find_shards(shards.folder) == shards.folder
    with pytest.raises(DataError, match="has no token shards"):
        find_shards(tmp_path)
