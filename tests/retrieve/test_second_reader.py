"""A second reader: named with an index, read beside the first, said where its encoder is missing."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import groundup
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.errors import ConfigError, FormatError, ModelError
from groundup.model.lora import add_lora
from groundup.progress import Silent
from groundup.retrieve import reader as readers
from groundup.retrieve import second_reader
from groundup.retrieve.cite import statements
from groundup.retrieve.evidence import evidence
from groundup.retrieve.index import SECOND_READER_FILE, Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.reader import SentenceScorer, encoder_of, open_reader, write_reader
from groundup.retrieve.second_reader import read_second, set_second, use_second
from groundup.retrieve.vectors import Vectors, make_vectors
from groundup.retrieve.vectors_info import read_vectors_info
from groundup.weights.catalog import DEFAULT_ENCODER
from groundup.weights.lora_file import encoder_hashes
from groundup.weights.model_io import open_model
from tests.tiny_encoder import save_encoder

from .test_evidence import bag
from .test_updated_vectors import Said

CPU = Compute(torch.device("cpu"))
LARGER = "all-mpnet-base-v2"
QUESTION = "How long does the warranty last?"
FIRM = Path(__file__).parent / "small_firm" / "documents"


@pytest.fixture
def searched(index: Index) -> Index:
    make_vectors(index.folder, bag, DEFAULT_ENCODER, progress=Silent())
    return index


def opened(folder: Path) -> Vectors:
    def read(question: str, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        return [tuple(float(j) for j in range(len(statements(each)))) for each in passages]

    known = read_vectors_info(folder)
    assert known is not None
    return Vectors(known, bag, read)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A tiny encoder in place of the larger one, with a reader in the package's place."""
    engine = Engine(open_model(save_encoder(tmp_path / "tiny", context_tokens=256), CPU), CPU)
    scorer = SentenceScorer(encoder_of(Engine(open_model(engine.opened.path, CPU), CPU)))
    base, random = encoder_hashes(scorer.transformer), torch.Generator().manual_seed(0)
    add_lora(scorer, rank=2, alpha=4.0, generator=random)
    for name, parameter in scorer.named_parameters():
        if "lora_" in name or name.startswith("score."):
            parameter.data.normal_(0.0, 0.3, generator=random)
    write_reader(scorer, tmp_path / "adapters" / LARGER, base, "random")
    for module in (readers, second_reader):
        monkeypatch.setattr(module, "ADAPTERS", tmp_path / "adapters")
    monkeypatch.setattr(second_reader, "is_here", lambda name: True)
    monkeypatch.setattr(second_reader, "open_encoder", lambda *given: engine)
    return engine


def test_passages_are_read_by_both_until_it_is_taken_away(
    searched: Index, tiny: Engine, tmp_path: Path
) -> None:
    folder, passages = searched.folder, searched.all_passages()[:2]
    assert read_second(folder) == ""
    assert set_second(folder, LARGER, "cpu", Silent())
    assert not set_second(folder, LARGER, "cpu", Silent()), "nothing is new"
    alone, both = opened(folder), opened(folder)
    use_second(both, folder, CPU, Silent())
    assert alone.second is None and both.second is not None
    second = open_reader(tiny, tmp_path / "adapters" / LARGER)
    assert both.second.read(QUESTION, passages) == second.scores(QUESTION, passages)
    one, two = (evidence(searched, passages, QUESTION, each) for each in (alone, both))
    assert one.by == two.by and one.values != two.values
    assert set_second(folder, "none", "cpu", Silent()) and read_second(folder) == ""
    assert not set_second(folder, "none", "cpu", Silent())


def test_an_encoder_that_is_not_here_is_said_and_the_first_reads_alone(
    searched: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_reader, "is_here", lambda name: False)
    (searched.folder / SECOND_READER_FILE).write_text(f'{{"encoder": "{LARGER}"}}')
    vectors, said = opened(searched.folder), Said()
    use_second(vectors, searched.folder, CPU, said)
    assert vectors.second is None
    assert len(said.lines) == 1 and f"groundup pull {LARGER}" in said.lines[0]


def test_other_weights_than_those_of_the_reader_are_refused(
    searched: Index, tiny: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_second(searched.folder, LARGER, "cpu", Silent())
    other = Engine(open_model(save_encoder(tmp_path / "other", context_tokens=64), CPU), CPU)
    monkeypatch.setattr(second_reader, "open_encoder", lambda *given: other)
    with pytest.raises(ModelError, match="has other weights than its reader"):
        use_second(opened(searched.folder), searched.folder, CPU, Silent())


def test_a_damaged_file_is_named(searched: Index) -> None:
    for content in ("{", "[]", '{"encoder": "gpt2"}'):
        (searched.folder / SECOND_READER_FILE).write_text(content)
        with pytest.raises(FormatError, match=SECOND_READER_FILE):
            read_second(searched.folder)


def test_an_index_without_vectors_of_the_usual_encoder_is_refused(index: Index) -> None:
    with pytest.raises(ConfigError, match=f"has no vectors of {DEFAULT_ENCODER}"):
        set_second(index.folder, LARGER, "cpu", Silent())


def test_an_encoder_without_a_reader_is_refused_before_the_documents_are_read(
    docs: Path, tmp_path: Path
) -> None:
    for name in ("mpnet", "all-minilm-l6-v2", "gpt2"):
        with pytest.raises(ModelError, match=f"no second reader of {name}"):
            groundup.index(docs, tmp_path / "new", vectors=(None, name))
    with pytest.raises(ConfigError, match=f"beside vectors of {DEFAULT_ENCODER}"):
        groundup.index(docs, tmp_path / "new", vectors=("none", LARGER))
    assert not (tmp_path / "new").exists()


@pytest.mark.network
def test_the_packaged_second_reader_answers_beside_the_first(tmp_path: Path) -> None:
    made = groundup.index(FIRM, tmp_path / "clinic", vectors=(DEFAULT_ENCODER, LARGER))
    assert made.to_plain()["second_reader"] == LARGER
    answer = groundup.ask(made.index, "how much is a porcelain crown?")
    assert "£690" in answer.quotes[0].text
    assert not groundup.index(out=made.index, vectors=(None, "none")).second_reader
