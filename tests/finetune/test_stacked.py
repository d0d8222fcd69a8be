"""A stacked classifier: what scikit-learn computes, what the folder keeps, and what other programs make of it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_encoder import save_encoder

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.padded_batch import classifier_ids
from groundup.errors import ConfigError, FormatError, MissingExtra, ModelError
from groundup.files import verify_folder
from groundup.finetune.candidates import simplest
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_results import OURS
from groundup.finetune.classifier_training import classifier_from
from groundup.finetune.config import ClassifierConfig
from groundup.finetune.features import FrozenBlocks, keep_features
from groundup.finetune.messages import Messages
from groundup.finetune.stacked import (
    PooledBlocks,
    StackedTraining,
    choose_shares,
    fit_linear,
    sparse_rows,
)
from groundup.model.transformer import Transformer
from groundup.progress import Advance, Silent
from groundup.runs import RunFolder
from groundup.weights.model_io import ModelCard, OpenModel, open_model
from groundup.weights.stacked import TfIdf

Splits = dict[str, list[Example]]
OpenBase = Callable[[], OpenModel]
CONFIG = ClassifierConfig(train="stacked", max_tokens=48, precision="float32")
TEXTS = [
    "Call NOW!  £1,000 prize",
    "ok",
    "a\tb\n c",
    "İstanbul ß naïve",
    "",
    "the the the end of it",
    "x",
]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, base_model: torch.nn.Module, tokenizer, splits: Splits
) -> Path:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("run") / "spam"
    opened = OpenModel(base_model, tokenizer, base_model.config, Path("base"), "language")  # type: ignore[arg-type]
    card = ModelCard("tiny spam", data=(("toy messages", "none"),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "groundup.finetune.stacked.SHARES", (0.5,)
        )  # letters alone know the planted word
        fit_classifier(
            opened,
            splits,
            RunFolder(folder),
            CONFIG,
            compute=Compute(torch.device("cpu")),
            card=card,
        )
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))


def test_tfidf_of_letters_is_that_of_scikit_learn(splits: Splits) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    known = [*TEXTS, *(example.text for example in splits["train"])]
    unknown = [*TEXTS, "zebra", *(example.text for example in splits["test"])]
    theirs = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 5)).fit(known)
    ours = TfIdf.of(known)
    assert list(theirs.get_feature_names_out()) == list(ours.ngrams)
    assert np.allclose(theirs.idf_, ours.rarity, rtol=0, atol=1e-12)
    assert np.allclose(
        theirs.transform(unknown).toarray(),
        sparse_rows(ours, unknown).toarray(),
        rtol=0,
        atol=1e-12,
    )


def training_of(opened: OpenModel, splits: Splits, compute: Compute) -> StackedTraining:
    messages = Messages.of(splits, None)
    frozen = PooledBlocks(
        classifier_from(opened, messages.labels, CONFIG, 48).transformer, 2, compute
    )
    ids = [
        [classifier_ids(opened.require_tokenizer(), example.text, 48)]
        for example in messages.examples
    ]
    [features] = keep_features([frozen], ids, precision="float32", progress=Silent())
    return StackedTraining(
        messages, features, frozen.blocks, messages.class_weights(balanced=False)
    )


def test_the_letters_decide_as_scikit_learns_pipeline_does(
    open_base: OpenBase, splits: Splits, compute: Compute
) -> None:
    """The whole inference of ours, from a text to probabilities, without scikit-learn, against its own vectoriser and regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    training = training_of(open_base(), splits, compute)
    found = training.fit()
    part, texts = (
        found.chosen["letters"],
        {name: [e.text for e in split] for name, split in splits.items()},
    )
    vectorizer = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 5)).fit(
        texts["train"]
    )
    theirs = LogisticRegression(C=part["strength"], max_iter=1000).fit(
        vectorizer.transform(texts["train"]), [e.label for e in splits["train"]]
    )
    letters = TfIdf.of(texts["train"])
    rows = sparse_rows(letters, texts["train"]), sparse_rows(letters, texts["validation"])
    classes = [
        [("ham", "spam").index(e.label) for e in splits[name]] for name in ("train", "validation")
    ]
    linear = fit_linear(rows, (classes[0], classes[1]), [1.0, 1.0], [part["strength"]])
    scores = (
        torch.from_numpy(linear.scores(sparse_rows(letters, texts["test"]))).softmax(dim=1).numpy()
    )
    assert np.allclose(
        theirs.predict_proba(vectorizer.transform(texts["test"])), scores, rtol=0, atol=1e-6
    )


def test_the_folder_scores_as_was_measured(
    finished: Path, splits: Splits, compute: Compute
) -> None:
    opened, results = open_model(finished, compute), RunFolder(finished).read_results()
    assert (
        opened.stacked is not None
        and opened.stacked.blocks == (1, 2)
        and opened.stacked.letters.ngrams
    )
    found = Engine(opened, compute).classify([example.text for example in splits["test"]])
    assert [next(iter(each)) for each in found] == results["predictions"][OURS]
    by_text = {example.text: each for example, each in zip(splits["test"], found, strict=True)}
    for shown in results["examples"]:
        assert by_text[shown["text"]][shown["predicted"]] == pytest.approx(
            shown["probability"], abs=1e-4
        )
    assert results["test"]["accuracy"]["value"] > 0.95 and results["trained"] == "stacked"
    verify_folder(finished)


def test_long_texts_are_read_in_windows_and_their_letters_whole(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    results = fit_classifier(
        open_base(), splits, run, replace(CONFIG, max_tokens=8), compute=compute
    )
    assert results.lengths["several"] > 0
    found = Engine(open_model(run.path, compute), compute).classify(
        [example.text for example in splits["test"]]
    )
    assert [next(iter(each)) for each in found] == results.predictions[OURS]


def test_transformers_opens_the_folder_and_reads_the_plain_head(
    finished: Path, splits: Splits, compute: Compute
) -> None:
    from transformers import AutoModelForSequenceClassification

    theirs = AutoModelForSequenceClassification.from_pretrained(finished).eval()
    opened, results = open_model(finished, compute), RunFolder(finished).read_results()
    right = 0
    for example in splits["test"]:
        ids = torch.tensor([classifier_ids(opened.require_tokenizer(), example.text, 48)])
        with torch.no_grad():
            right += theirs.config.id2label[int(theirs(ids).logits.argmax())] == example.label
    assert right / len(splits["test"]) == pytest.approx(results["plain_head"]["value"], abs=0.03)
    assert "which read the plain head" in (finished / "README.md").read_text()


def test_an_encoders_vectors_are_a_part_that_the_folder_brings(
    open_base: OpenBase,
    splits: Splits,
    compute: Compute,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("groundup.finetune.stacked.SHARES", (0.5,))
    encoder = save_encoder(tmp_path / "encoder")
    run = RunFolder(tmp_path / "run")
    results = fit_classifier(
        open_base(), splits, run, replace(CONFIG, encoder=str(encoder)), compute=compute
    )
    assert (
        results.stacked["vectors"]["encoder"] == "encoder"
        and results.stacked["vectors"]["share"] == 0.5
    )
    shutil.rmtree(encoder)
    verify_folder(run.path)
    opened, texts = open_model(run.path, compute), [example.text for example in splits["test"]]
    assert opened.stacked is not None and opened.stacked.vectors_weight is not None
    found = Engine(opened, compute).classify(texts)
    assert [next(iter(each)) for each in found] == results.predictions[OURS]
    auto = replace(
        CONFIG,
        train="auto",
        epochs=1,
        learning_rate=1e-3,
        encoder=str(save_encoder(tmp_path / "encoder")),
    )
    tried = fit_classifier(
        open_base(), splits, RunFolder(tmp_path / "auto"), auto, compute=compute
    ).tried
    assert [each["train"] for each in tried] == [
        "last-block",
        "stacked",
        f"stacked with {encoder}",
    ]
    without = replace(opened, stacked=replace(opened.stacked, vectors_weight=None, encoder=None))
    assert Engine(without, compute).classify(texts) != found, "the vectors count"


def test_another_model_in_an_encoders_place_is_refused(
    open_base: OpenBase, finished: Path, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="is a classifier, and no encoder"):
        fit_classifier(
            open_base(),
            splits,
            RunFolder(tmp_path),
            replace(CONFIG, encoder=str(finished)),
            compute=compute,
        )
    with pytest.raises(ConfigError, match="reads no encoder"):
        replace(CONFIG, train="lora", encoder="all-minilm-l6-v2")


def test_an_export_keeps_it(
    finished: Path, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    from groundup.weights.formats import FORMATS
    from groundup.weights.model_format import ExportOptions

    opened, text = open_model(finished, compute), splits["test"][0].text
    FORMATS["hf"].write(opened, tmp_path / "out", ExportOptions("f32"))
    again = open_model(tmp_path / "out", compute)
    assert Engine(again, compute).classify([text]) == Engine(opened, compute).classify([text])


def test_another_run_in_the_folder_leaves_nothing_of_it(
    finished: Path, open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "copy")
    shutil.copytree(finished, run.path)
    run.clear()
    config = replace(CONFIG, train="head", epochs=1, learning_rate=3e-3)
    fit_classifier(open_base(), splits, run, config, compute=compute)
    assert open_model(run.path, compute).stacked is None and not (run.path / "stacked").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version"),
        ({"blocks": [2, 1]}, "blocks"),
        ({"blocks": [1, 9]}, "blocks"),
        ({"blocks": [1]}, "hidden_weight"),
        ({"ngrams": ["a", "a"]}, "ngrams"),
        ({"ngrams": ["a"]}, "letters_weight"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    change: dict[str, object], message: str, finished: Path, compute: Compute, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    (folder / "manifest.json").unlink()
    file = folder / "stacked" / "stacked.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(FormatError, match=message):
        open_model(folder, compute)
    (folder / "stacked" / "stacked.safetensors").write_bytes(b"no tensors")
    with pytest.raises(FormatError):
        open_model(folder, compute)


def test_the_test_messages_play_no_part(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    turned = {
        **splits,
        "test": [Example(e.text, "ham" if e.label == "spam" else "spam") for e in splits["test"]],
    }
    found = [
        fit_classifier(open_base(), each, RunFolder(tmp_path / name), CONFIG, compute=compute)
        for name, each in {"as it is": splits, "turned": turned}.items()
    ]
    assert found[0].stacked == found[1].stacked and found[0].validation == found[1].validation
    assert found[0].test != found[1].test


def test_auto_keeps_the_simplest_of_the_best_and_says_what_was_tried(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    run, config = (
        RunFolder(tmp_path / "run"),
        replace(CONFIG, train="auto", encoder="none", epochs=2, learning_rate=5e-3),
    )
    results = fit_classifier(open_base(), splits, run, config, compute=compute, progress=progress)
    tried = results.tried
    assert tried is not None and [each["train"] for each in tried] == ["last-block", "stacked"]
    lowest = min(each["validation_loss"] for each in tried)
    for each in tried:
        assert each["behind"] == pytest.approx(each["validation_loss"] - lowest)
        assert each["right"]["low"] <= each["right"]["value"] <= each["right"]["high"]
    near = [each for each in tried if each["behind"] <= each["standard_error"]]
    assert [each for each in tried if each["chosen"]] == near[:1]
    assert near[0]["train"] == results.trained
    assert any(f"Chosen: {results.trained}, the simplest" in line for line in said)
    assert (open_model(run.path, compute).stacked is not None) is (results.trained == "stacked")
    assert fit_classifier(open_base(), splits, run, config, compute=compute).tried == tried


def test_a_simpler_candidate_wins_within_a_standard_error_only() -> None:
    draw = np.random.default_rng(0)
    simple = draw.exponential(size=400)
    near, far = simple + draw.normal(-0.001, 0.1, 400), simple + draw.normal(-0.1, 0.1, 400)
    assert simplest([simple, near]) == 0 and simplest([simple, far]) == 1
    assert simplest([far, simple, near]) == 0 and simplest([simple, far, far]) == 1
    assert simplest([np.array([0.2]), np.array([0.1])]) == 1, "one text has no standard error"


def test_a_default_encoder_that_can_not_be_had_is_left_out_and_a_named_one_is_refused(
    open_base: OpenBase,
    splits: Splits,
    compute: Compute,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    monkeypatch.setattr("groundup.finetune.candidates.SENTENCE_ENCODER", str(tmp_path / "nowhere"))
    auto = replace(CONFIG, train="auto", epochs=1, learning_rate=5e-3)
    found = fit_classifier(
        open_base(), splits, RunFolder(tmp_path / "a"), auto, compute=compute, progress=progress
    )
    assert found.tried is not None and len(found.tried) == 2
    assert any("Left out: stacked with" in line and "There is no model" in line for line in said)
    with pytest.raises(ModelError, match="There is no model"):
        named = replace(auto, encoder=str(tmp_path / "nowhere"))
        fit_classifier(open_base(), splits, RunFolder(tmp_path / "b"), named, compute=compute)


def test_one_reading_gives_each_the_bits_of_its_own(
    open_base: OpenBase, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    texts = [[draw.integers(5, 300, n).tolist()] for n in draw.integers(1, 40, 60)]
    transformer = classifier_from(open_base(), ("a", "b"), CONFIG, 48).transformer
    kinds = FrozenBlocks(transformer, 1, compute), PooledBlocks(transformer, 2, compute)
    own = {"precision": "float32", "progress": Silent()}
    apart = [keep_features([each], texts, **own)[0] for each in kinds]  # type: ignore[arg-type]
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "another"))
    passes: list[int] = []
    embed = Transformer.embed

    def counted(self: Transformer, ids: torch.Tensor, *more: object) -> torch.Tensor:
        passes.append(len(ids))
        return embed(self, ids, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Transformer, "embed", counted)
    together = keep_features(kinds, texts, **own)  # type: ignore[arg-type]
    assert sum(passes) == len(texts), "each row is read once"
    for one, other in zip(apart, together, strict=True):
        assert one.fingerprint == other.fingerprint and one.precision == other.precision
        for windows, same in zip(one.texts, other.texts, strict=True):
            assert all(map(torch.equal, windows, same))
    again = keep_features([kinds[1], kinds[0]], texts, **own)  # type: ignore[arg-type]
    assert sum(passes) == len(texts) and [each.cached for each in again] == [60, 60]
    more = [*texts, [[7, 8, 9]]]
    alone = keep_features([kinds[0]], more, **own)[0]  # type: ignore[arg-type]
    both = keep_features(kinds, more, **own)  # type: ignore[arg-type]
    assert alone.cached == 60 and [each.cached for each in both] == [61, 60]
    assert torch.equal(both[0].texts[60][0], alone.texts[60][0])


def test_how_long_the_reading_takes_is_said_after_the_first_batch(
    open_base: OpenBase, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Told(Silent):
        def say(self, text: str) -> None:
            told.append(text)

        @contextmanager
        def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
            told.append(f"{what} {total}")
            yield lambda amount=1, note="", total=None: told.append(f"+{amount}")

    monkeypatch.setattr("groundup.finetune.features.WORTH_SAYING_S", 0.0)
    monkeypatch.setattr("groundup.finetune.features.FEATURE_BATCH_TOKENS", 100)
    transformer = classifier_from(open_base(), ("a", "b"), CONFIG, 48).transformer
    texts = [[[7] * 40, [8] * 40], *([[place] * 20] for place in range(10, 15))]
    frozen = [FrozenBlocks(transformer, 1, compute)]
    keep_features(frozen, texts, precision="float32", progress=Told())
    assert told[0] == "frozen blocks 180" and told[2] == "+80"
    assert re.fullmatch(
        r"6 texts, 180 tokens, of which 80 in windows: features about 0 s at this speed\.", told[1]
    )
    told.clear()
    monkeypatch.setattr("groundup.finetune.features.WORTH_SAYING_S", 1e9)
    keep_features(frozen, [[[9] * 20]], precision="float32", progress=Told())
    assert told[:2] == ["frozen blocks 20", "+20"]


def test_a_learning_curve_and_wrong_labels_are_found_with_it(
    open_base: OpenBase, splits: Splits, compute: Compute, tmp_path: Path
) -> None:
    wrong = splits["train"][0]
    flipped = {
        **splits,
        "train": [
            Example(wrong.text, "ham" if wrong.label == "spam" else "spam"),
            *splits["train"][1:],
        ],
    }
    config = replace(CONFIG, learning_curve=True, find_wrong_labels=True)
    results = fit_classifier(
        open_base(), flipped, RunFolder(tmp_path / "run"), config, compute=compute
    )
    assert [each.labels for each in results.learning_curve.points] == [50, 100, 180]
    assert wrong.text in [each.text for each in results.wrong_labels.list[:3]]


def test_the_share_of_a_part_that_says_nothing_is_none() -> None:
    draw = np.random.default_rng(0)
    classes = draw.integers(0, 3, 200)
    telling, noise = np.eye(3)[classes] * 4 + draw.normal(size=(200, 3)), draw.normal(size=(200, 3))
    assert choose_shares(telling, noise, classes.tolist()).share < 0.2
    assert choose_shares(noise, telling, classes.tolist()).share > 0.8
    found = choose_shares(telling, noise, classes.tolist())
    assert found.loss <= min(found.losses)


def test_without_scikit_learn_it_ends_before_any_work(
    open_base: OpenBase,
    splits: Splits,
    compute: Compute,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("groundup.finetune.stacked.find_spec", lambda name: None)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(MissingExtra, match="scikit-learn"):
        fit_classifier(open_base(), splits, run, CONFIG, compute=compute)
    assert not run.path.exists()
    auto, said = replace(CONFIG, train="auto", epochs=1, learning_rate=5e-3), list[str]()
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    found = fit_classifier(open_base(), splits, run, auto, compute=compute, progress=progress)
    assert found.trained == "last-block" and found.tried is not None and len(found.tried) == 1
    assert any(
        "Left out: stacked." in line and "pip install 'groundup[demo]'" in line for line in said
    )
    with pytest.raises(ConfigError, match="stacked"):
        ClassifierConfig(train="stacked", loss="class")
