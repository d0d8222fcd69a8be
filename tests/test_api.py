"""The Python surface: importing does nothing, each docstring's example runs, and what can't be done is a GroundupError."""

import doctest
import inspect
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import groundup
from groundup.api import public as api
from groundup.cli.classify import classify
from groundup.cli.main import run
from groundup.device import generator
from groundup.engine.structured_output import OutputConstraint
from groundup.errors import ConfigError, DataError, FormatError, GroundupError, ModelError
from groundup.files import write_manifest
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.progress import Advance, Silent
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.decision_rule import DecisionRule
from groundup.weights.model_io import save_model
from tests.tiny_encoder import save_encoder

SENTENCE = "to be or not to be that is the question see you at the station when the prize is over user assistant system"
PARTS = {"AdamW", "Muon", "SGD", "Checkpoints", "Rows", "Schedule", "Stability"}
PARTS |= {"ContinuedTraining", "ModelShape", "SourceShares", "TextPreparation"}
EXAMPLES = [  # all but results and parts of PretrainConfig
    *(
        getattr(api, name)
        for name in groundup.__all__
        if name not in {"Model", "PretrainResults", *PARTS}
    ),
    *(
        getattr(api.Model, name)
        for name in (
            "generate",
            "stream",
            "chat",
            "classify",
            "words_for",
            "score",
            "embed",
            "save",
        )
    ),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models (a language model and a classifier) and of data."""
    folder, words = tmp_path_factory.mktemp("api"), SENTENCE.split()
    tokenizer = train_tokenizer([SENTENCE * 3], 340)
    config = ModelConfig(tokenizer.vocab_size, 160, 32, 2, 2, 64, tied_head=True)
    named = folder / "cache" / "models" / "smollm2-135m-instruct"  # as if it had been fetched
    for name, model, labels in (
        ("mine", LanguageModel(config), ()),
        ("spam", Classifier(config, 2), ("ham", "spam")),
    ):
        initialise(model, generator(1, name))
        save_model(model, folder / "runs" / name, tokenizer, labels=labels)
    shutil.copytree(folder / "runs" / "mine", named)
    write_manifest(named)  # without it the model is fetched from a registry
    (folder / "my-texts").mkdir()
    draw = random.Random(1)
    for number in range(8):
        (folder / "my-texts" / f"{number}.txt").write_text(" ".join(draw.choices(words, k=600)))
    (folder / "hours.md").write_text("# Hours\n\nAn appointment lasts 45 minutes.\n")
    (folder / "letters").mkdir()
    for number in range(24):
        text = " ".join(draw.choices(words, k=300))
        (folder / "letters" / f"{number}.txt").write_text(text)
    rows = [
        f"{' '.join(draw.choices(words, k=6))} {number},{('ham', 'spam')[number % 2]}"
        for number in range(60)
    ]
    (folder / "messages.csv").write_text("\n".join(["text,label", *rows]))
    tasks = [
        {"instruction": f"say {word}", "output": word, "held_out": word < "c"}
        for word in sorted(set(words))
    ]
    (folder / "instructions.jsonl").write_text("\n".join(map(json.dumps, tasks)))
    asked = {"question": "When is the prize over?", "answers": ["in May"]}
    (folder / "questions.jsonl").write_text(json.dumps(asked))
    pairs = [
        {"prompt": f"say {word}", "chosen": word, "rejected": "is"}
        for word in sorted({*words} - {"is"})
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    answers = [{"question": f"that {n}", "answer": f"to be {n}"} for n in range(30)]
    (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)))
    save_encoder(folder / "encoder")
    return folder


@pytest.fixture(autouse=True)
def _inside(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models)
    monkeypatch.setenv("GROUNDUP_CACHE", str(models / "cache"))


def test_importing_does_nothing() -> None:
    code = """
import sys, groundup
assert [name for name in sys.modules if name.startswith("groundup")] == ["groundup"]
assert "open_model" in dir(groundup)
groundup.open_model
assert "groundup.api.public" in sys.modules and "torch" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'close_model'"):
        groundup.close_model  # noqa: B018


# What they train is trained by other tests of the default suite, too.
OF_SECONDS = (
    *("run_research", "search_mixture", "finetune_reward", "run_memorised"),
    *("finetune_chat", "finetune_preference"),
)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(
            part, id=part.__qualname__, marks=[pytest.mark.slow] * (part.__qualname__ in OF_SECONDS)
        )
        for part in EXAMPLES
    ],
)
def test_the_example_in_each_docstring_runs(part: object) -> None:
    (found,) = doctest.DocTestFinder(recurse=False).find(part, "api", globs={"groundup": groundup})
    assert 2 <= len(found.examples) <= 3
    assert doctest.DocTestRunner().run(found).failed == 0


def test_every_public_function_of_a_model_has_an_example() -> None:
    public = {
        name
        for name, _ in inspect.getmembers(api.Model, inspect.isfunction)
        if not name.startswith("_")
    }
    assert public - {part.__name__ for part in EXAMPLES} == {"events", "chat_sampling"}


def test_a_model_writes_the_same_whole_in_pieces_and_in_a_form() -> None:
    model = groundup.open_model(Path("runs") / "mine", "cpu")
    settings = {"max_tokens": 12, "seed": 3, "stop": "zzz"}
    assert "".join(model.stream("to be", **settings)) == model.generate("to be", **settings)
    assert model.generate("to be", output=OutputConstraint.choice(["yes"]), max_tokens=9) == "yes"
    asked = [{"role": "user", "content": "to be"}]
    assert model.chat(asked, **settings) == model.chat("to be", **settings)


def test_scores_and_vectors_are_those_of_each_text_alone() -> None:
    model = groundup.open_model("runs/mine")
    vectors = model.embed(["to be", "the station is over"])
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2))
    assert torch.allclose(model.embed("the station is over")[0], vectors[1], atol=1e-6)
    found = model.score("to be", " or not")
    assert found.logprob == pytest.approx(sum(found.token_logprobs))


@pytest.mark.parametrize("format", ["hf", "gguf", "ollama"])
def test_what_is_saved_is_opened_again(tmp_path: Path, format: str) -> None:
    model, out = groundup.open_model("runs/mine"), tmp_path / "saved.gguf"
    assert model.save(str(out), format, quantization="f32") == out
    again = groundup.open_model(out)
    assert again.generate("to be", temperature=0, max_tokens=8) == model.generate(
        "to be", temperature=0, max_tokens=8
    )


def test_python_and_the_verb_decide_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["to be", "the prize is over", "see you"]
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    for name, rule in (
        ("plain", DecisionRule()),
        ("costs", DecisionRule(positive="spam", threshold=0.99)),
        ("unsure", DecisionRule(abstain_below=0.9999)),
    ):
        shutil.copytree("runs/spam", tmp_path / name)
        rule.write(tmp_path / name)
        assert run(["classify", str(tmp_path / name), str(tmp_path / "lines.txt"), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        model = groundup.open_model(tmp_path / name)
        found = model.classify(texts)
        assert [
            {"name": each["name"], "text": each["text"], **own}
            for each, own in zip(said, found, strict=True)
        ] == said
        assert model.classify(texts[0]) == model.classify([texts[0]])[0]
        if name == "unsure":
            assert {each["label"] for each in found} == {"unsure"} and all(
                "guess" in each for each in found
            )
        else:
            assert name != "costs" or {each["label"] for each in found} == {"ham"}


def test_classifying_has_a_bar_from_reading_to_the_last_token(tmp_path: Path) -> None:
    tracked: list[tuple[str, float, str]] = []
    done: Counter[str] = Counter()

    class Recorded(Silent):
        @contextmanager
        def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
            tracked.append((what, total, unit))

            def advance(amount: float = 1, note: str = "", total: float | None = None) -> None:
                done[what] += int(amount)

            yield advance

    model, texts = groundup.open_model("runs/spam"), ["to be " * 200, "", "the prize"]
    named = iter([(str(i), text) for i, text in enumerate(texts)])
    found = classify(model, named, why=False, progress=Recorded())
    assert next(found)["text"] == texts[0]
    tokens = sum(len(window) for text in texts for window in model.engine.windows(text))
    assert tracked == [
        ("reading", 0, "texts"),
        ("tokenising", 3, "texts"),
        ("classifying", tokens, "tokens"),
    ]
    assert len(list(found)) == 2
    assert done == {"reading": 3, "tokenising": 3, "classifying": tokens}


def test_what_can_not_be_done_is_a_groundup_error_with_one_sentence(tmp_path: Path) -> None:
    model, classifier = groundup.open_model("runs/mine"), groundup.open_model("runs/spam")
    packed = groundup.open_model("runs/mine", precision="int8")
    for error, word, call in (
        (ConfigError, "max_token", lambda: model.generate("to be", max_token=3)),
        (ConfigError, "temperature must be 0 .greedy. to 100 .got -1.", lambda: model.stream("to be", temperature=-1)),
        (ConfigError, "rolle", lambda: model.chat([{"rolle": "user", "content": "to be"}])),
        (DataError, "no message", lambda: model.chat([])),
        (ModelError, "has no classes", lambda: model.classify("to be")),
        (ModelError, "is a classifier", lambda: classifier.score("to", " be")),
        (ModelError, "is a classifier", lambda: classifier.embed("to be")),
        (ConfigError, "is not one of", lambda: model.save(tmp_path / "x", format="onnx")),
        (ModelError, "can't be saved", lambda: packed.save(tmp_path / "x")),
        (ModelError, "no model 'nowhere'", lambda: groundup.open_model("nowhere")),
        (ConfigError, "gpu", lambda: groundup.open_model("runs/mine", "gpu")),
        (ConfigError, "ClassifierConfig has no argument 'epoch'. Did you mean 'epochs'", lambda: groundup.ClassifierConfig(epoch=1)),
        (ConfigError, "pretrain has no argument 'steps', it is a field of PretrainConfig", lambda: groundup.pretrain("a", "b", steps=3)),
        (ConfigError, "pretrain has no argument 'foo'", lambda: groundup.pretrain(foo=3)),
        (ConfigError, "pretrain: data must be a text or a path or Data", lambda: groundup.pretrain(5, "b")),
        (ConfigError, "BuildConfig has no argument 'budgt'. Did you mean 'budget'", lambda: groundup.BuildConfig(budgt="3m")),
        (ConfigError, "ChatConfig: train must be 'lora' or 'all'", lambda: groundup.ChatConfig(train="x")),
        (ConfigError, "finetune_chat has no argument 'rank', it is a field of ChatConfig", lambda: groundup.finetune_chat("a", "b", "c", rank=4)),
        (ConfigError, "generate: prompt must be a text .got 5", lambda: model.generate(5)),
        (ConfigError, "stream: prompt must be a text .got None", lambda: model.stream(None)),
        (ConfigError, "chat: messages must be a text or a list of messages .got 5", lambda: model.chat(5)),
        (ConfigError, "classify: texts must be a text or a list", lambda: classifier.classify(5)),
        (ConfigError, "score: missing a required argument: 'continuation'", lambda: model.score("to be")),
        (ModelError, "no model 'nowhere'", lambda: groundup.finetune_classifier("nowhere", "no data", "c")),
        (ModelError, "no model 'nowhere'", lambda: groundup.finetune_preference("nowhere", "no data", "c")),
        (ConfigError, "must be given once", lambda: groundup.pretrain("my-texts", tmp_path / "x", groundup.PretrainConfig(steps=1, tokens=9))),
        (ConfigError, "named twice", lambda: groundup.run_evaluation(["runs/mine", Path("runs/mine")])),
        (ConfigError, "inspect_data: data must be an address, or a list of addresses .got 5", lambda: groundup.inspect_data(5)),
        (ConfigError, "process must be of the class ProcessConfig .got 'web'", lambda: groundup.inspect_data("my-texts", process="web")),
        (ConfigError, "index has no argument 'vector'. Did you mean 'vectors'", lambda: groundup.index("my-texts", vector="x")),
        (ConfigError, "index: config must be of the class IndexConfig", lambda: groundup.index("my-texts", tmp_path / "x", config=5)),
        (ConfigError, "search: count must be a whole number", lambda: groundup.search("texts.index", "prize", "5")),
        (FormatError, "this is a folder, and no index", lambda: groundup.ask(tmp_path, "prize?")),
        (ModelError, "no model named 'nowhere'", lambda: groundup.pull("nowhere")),
        (ConfigError, "onnx", lambda: groundup.convert("runs/mine", tmp_path / "x", "onnx")),
        (ConfigError, "from the format ollama only .got hf", lambda: groundup.convert("runs/mine", tmp_path / "x", "hf", create="a")),
        (ConfigError, "no stage 'tokeniser'", lambda: groundup.build("my-texts", tmp_path / "x", groundup.BuildConfig(redo=["tokeniser"]))),
    ):  # fmt: skip
        with pytest.raises(error, match=word) as caught:
            call()
        assert isinstance(caught.value, GroundupError) and "\n" not in caught.value.message
