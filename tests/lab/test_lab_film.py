"""Attention and embeddings forming: a tiny run with snapshots, filmed."""

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from groundup.cli.main import run
from groundup.data.batches.shards import write_shards
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.errors import DataError
from groundup.lab.attention import attention_picture
from groundup.lab.embeddings import principal_components
from groundup.lab.page import render
from groundup.lab.style import LEAST_PIXELS, WIDTH_INCHES, smallest_type
from groundup.lab.training_animation import apart, attention_film, embeddings_film, group_of
from groundup.lab.views import VIEWS, function, look_inside
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import train_tokenizer
from groundup.train.optimizers.adamw import AdamW
from groundup.train.pretrain import PretrainInputs, pretrain
from groundup.train.steps.config import Checkpoints, FitConfig
from groundup.weights.model_io import OpenModel, open_model
from groundup.weights.verify import verify_path

CPU = Compute(torch.device("cpu"))
TEXT = "The fox saw the hen, and the hen saw the fox."
FIT = FitConfig(
    steps=25,
    batch_size=4,
    precision="float32",
    seed=3,
    checkpoints=Checkpoints(snapshots=6),
    optimizer=AdamW(learning_rate=0.003),
)
STEPS = [0, 1, 4, 9, 16, 25]
MOVING = [name for name, view in VIEWS.items() if view.reel]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pretraining run with six snapshots."""
    root = tmp_path_factory.mktemp("film")
    (root / "texts").mkdir()
    for number in range(8):
        (root / "texts" / f"{number}.txt").write_text(
            f"{TEXT} So they sang of the sea: {number}! " * 12
        )
    prepare(
        [Source(str(root / "texts"))],
        root / "data",
        DataConfig(validation_fraction=0.2),
        progress=Silent(),
    )
    tokenizer = train_tokenizer([f"{TEXT} So they sang of the sea. "] * 9, 310)
    shards = write_shards(root / "data", tokenizer, root / "shards", progress=Silent())
    sizes = {
        "width": 32,
        "num_layers": 2,
        "num_heads": 2,
        "num_kv_heads": 2,
        "feedforward_width": 48,
    }
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, context_tokens=16, **sizes)
    pretrain(PretrainInputs(shards, tokenizer, shape, FIT), RunFolder(root / "run"), compute=CPU)
    return root / "run"


@pytest.fixture(scope="module")
def opened(folder: Path) -> OpenModel:
    return open_model(folder, CPU)


@pytest.fixture(scope="module")
def attention(opened: OpenModel) -> dict[str, Any]:
    return attention_film(opened, TEXT)


@pytest.fixture(scope="module")
def embeddings(opened: OpenModel) -> dict[str, Any]:
    return embeddings_film(opened)


@pytest.fixture(scope="module")
def page(opened: OpenModel) -> str:
    """The page of both films."""
    return render(look_inside(opened, TEXT, name="tiny", only=MOVING))


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The run, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "copied"))


def shares(model: OpenModel, film: dict[str, Any]) -> list[Any]:
    """What a model's own view shows of the film's heads."""
    view = attention_picture(model.model, model.tokenizer, film["text"])["heads"]
    found = {(head["block"], head["head"]): head["weights"] for head in view}
    return [found[head["block"], head["head"]] for head in film["heads"]]


def test_frames_are_in_the_order_of_their_steps(
    attention: dict[str, Any], embeddings: dict[str, Any]
) -> None:
    for film in (attention, embeddings):
        assert [frame["step"] for frame in film["frames"]] == STEPS
        assert json.loads(json.dumps(film)) == film


def test_every_frame_of_attention_is_the_view_of_the_model_at_that_step(
    folder: Path, attention: dict[str, Any]
) -> None:
    for frame in (attention["frames"][0], attention["frames"][-1]):
        then = open_model(RunFolder(folder).snapshot(frame["step"]), CPU)
        assert frame["weights"] == shares(then, attention)
    assert [len(frame["scores"]) for frame in attention["frames"]] == [
        len(attention["heads"])
    ] * len(STEPS)


def test_the_last_frame_is_the_trained_model_but_for_bfloat16(
    opened: OpenModel, attention: dict[str, Any]
) -> None:
    last, own = (
        torch.tensor(attention["frames"][-1]["weights"]),
        torch.tensor(shares(opened, attention)),
    )
    assert (last - own).abs().max() < 0.01
    assert (torch.tensor(attention["frames"][0]["weights"]) - own).abs().max() > 0.05


def test_the_map_moves_in_the_space_of_the_last_step(
    folder: Path, embeddings: dict[str, Any]
) -> None:
    ids = [token["id"] for token in embeddings["tokens"]]
    rows = []
    for step in (STEPS[0], STEPS[-1]):
        model = open_model(RunFolder(folder).snapshot(step), CPU).model
        assert isinstance(model, LanguageModel)
        rows.append(model.transformer.embedding.weight.detach()[ids])
    first, last = (torch.tensor(embeddings["frames"][number]["places"]) for number in (0, -1))
    own, explained = principal_components(rows[1])
    assert torch.allclose(last.abs(), own.abs(), atol=2e-4)  # a component's sign is free
    assert embeddings["explained"] == pytest.approx(explained, abs=1e-4)
    # Places are linear in the rows: (first - last) on the plane is what the rows' change has there, so the plane is the same.
    change, _, _, _ = torch.linalg.lstsq(rows[1] - rows[1].mean(dim=0), last)
    assert torch.allclose((rows[0] - rows[1].mean(dim=0)) @ change, first, atol=0.05)


def test_a_frame_has_the_loss_of_the_steps_around_it(
    folder: Path, attention: dict[str, Any]
) -> None:
    lines = [
        line["loss"] for line in read_lines(RunFolder(folder).metrics_file) if "event" not in line
    ]
    first, last = attention["frames"][0], attention["frames"][-1]
    assert first["training_loss"] == pytest.approx(
        lines[0], abs=1e-4
    )  # measured before the first update
    assert last["training_loss"] == pytest.approx(sum(lines[-7:]) / 7, abs=1e-4)


def test_groups_that_stand_apart_and_groups_that_do_not() -> None:
    rows = torch.tensor([[0.0, 0.0], [0.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    assert apart(rows, ["a", "a", "b", "b"]) == pytest.approx(1)
    assert apart(rows, ["a", "b", "a", "b"]) == pytest.approx(0)
    # Means 0 and 2, total mean 1: between 2 * 1 + 2 * 1 = 4; all: 4 of it and 4 * 1 of the second number's spread.
    spread = rows + torch.tensor([[0.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, -1.0]])
    assert apart(spread, ["a", "a", "b", "b"]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        (" the", "words"),
        ("The", "with a capital"),
        (" LORD", "with a capital"),
        ("ing", "parts of words"),
        ("のです", "parts of words"),  # no capitals in this script
        (".\n", "marks"),
        *((text, "") for text in (" th", "a", "\\xc3", "", " 12", "the ")),
    ],
)
def test_a_token_is_of_the_group_that_its_letters_say(text: str, group: str) -> None:
    assert group_of(text) == group


@pytest.mark.parametrize("name", MOVING)
def test_the_gif_has_a_frame_for_every_step_and_rests_at_the_end(name: str, page: str) -> None:
    found = re.findall('data:image/gif;base64,([^"]+)', page)
    data = base64.b64decode(found[MOVING.index(name)])
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.n_frames, image.info["loop"]) == ("GIF", len(STEPS), 0)
    times = []
    for number in range(len(STEPS)):
        image.seek(number)
        times.append(image.info["duration"])
    assert times[-1] > 3 * max(times[1:-1])
    assert len(data) < 300_000
    assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("view", ["attention_forming", "embeddings_forming"])
def test_a_film_is_as_wide_as_a_pages_column_and_its_type_can_be_read(
    view: str, attention: dict[str, Any], embeddings: dict[str, Any]
) -> None:
    values = {"attention_forming": attention, "embeddings_forming": embeddings}[view]
    reel = function(VIEWS[view].reel)(values)
    reel.show(0)
    assert smallest_type(reel.figure) >= LEAST_PIXELS
    assert reel.figure.get_size_inches()[0] == pytest.approx(WIDTH_INCHES)
    assert smallest_type(function(VIEWS[view].draw)(values)) >= LEAST_PIXELS


class Said(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_damaged_snapshot_is_passed_over_and_said(copied: Path) -> None:
    weights = RunFolder(copied).snapshot(9) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    said = Said()
    film = embeddings_film(open_model(copied, CPU), progress=said)
    assert [frame["step"] for frame in film["frames"]] == [0, 1, 4, 16, 25]
    (line,) = said.lines
    assert line.startswith("Step 9 is skipped") and "bytes" in line


def test_when_one_is_left_there_is_no_film(copied: Path) -> None:
    for step in STEPS[1:]:
        (RunFolder(copied).snapshot(step) / "config.json").write_text("{}")
    with pytest.raises(
        DataError, match="Only 1 of the 6 steps that copied kept can be read"
    ) as refused:
        attention_film(open_model(copied, CPU), TEXT)
    assert "fit.checkpoints.snapshots" in refused.value.fix


def test_a_run_without_snapshots_is_filmed_by_its_checkpoints(
    copied: Path, opened: OpenModel
) -> None:
    shutil.rmtree(copied / "snapshots")
    film = attention_film(open_model(copied, CPU), TEXT)
    assert [frame["step"] for frame in film["frames"]] == [24, 25]
    assert film["frames"][-1]["weights"] == shares(opened, film)
    shutil.rmtree(copied / "checkpoints" / "step-24")
    with pytest.raises(DataError, match="0 snapshots and 1 checkpoints"):
        attention_film(open_model(copied, CPU), TEXT)


def test_a_run_with_snapshots_is_verified_and_stays_a_model_folder(
    folder: Path, opened: OpenModel
) -> None:
    found = verify_path(folder)
    assert found.manifests == 1 + len(STEPS) + len(list(RunFolder(folder).checkpoints.iterdir()))
    snapshot = open_model(RunFolder(folder).snapshot(9), CPU)
    assert snapshot.config == opened.config and snapshot.require_tokenizer().encode(TEXT)


def test_the_page_of_a_run_has_both_films_and_their_stills(page: str) -> None:
    assert 'Inside <bdi dir="auto">tiny</bdi>' in page
    assert page.count("data:image/gif;base64,") == page.count("data:image/svg+xml;base64,") == 2
    assert page.count('<details class="film" open') == 2 and "prefers-reduced-motion" in page


@pytest.mark.slow
def test_the_verb_writes_a_gif_and_a_still(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "forming.gif"
    assert run(["lab", str(folder), "--text", TEXT, "--film", str(film), "--form", "svg"]) == 0
    assert "6 steps of the run, attention forming" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forming.gif", "forming.svg"]
    assert run(["lab", str(folder), "--film", str(film), "--of", "embeddings", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["frames"]) == len(STEPS)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--film", "film.png"], "Name it film.gif"),
        (["--film", "film.gif", "--of", "atention"], "Did you mean 'attention'"),
        (["--film", "film.gif", "--out", "page.html"], "instead of the page"),
        (["--film", "film.gif", "--text", "a"], "at least 3 tokens"),
    ],
)
def test_bad_input_gets_one_sentence(
    folder: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", str(folder), *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said


def test_a_model_that_was_not_trained_here_says_how_to_train_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = RunFolder(folder).snapshot(9)  # a model folder without a run of its own
    assert run(["lab", str(snapshot), "--film", "film.gif"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "is not from a training run" in said and "--set fit.checkpoints.snapshots=16" in said
