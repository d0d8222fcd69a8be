"""`Change`, an addition to the package, and those that docs/tour.md has promised for longest; `test_ten_changes` makes them and its own ten."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One addition to the package."""

    row: str
    """The first column of the tour's table."""
    use: str
    """Python that fails where the addition does not work; `tmp` is an empty folder."""
    inserted: tuple[tuple[str, str, str], ...] = ()
    """(file, a text in it, what is put before that text)."""
    new_files: tuple[tuple[str, str], ...] = ()


ACTIVATION = Change(
    "add an activation",
    inserted=(
        (
            "model/feedforward.py",
            "\n\nFEEDFORWARDS: ",
            '''

class SquaredReLU(FeedForward):
    """down(relu(up(x))^2) (So et al. 2021)."""

    title, formula, saved_tensors = "Squared ReLU", "down(relu(up)²)", 3

    @staticmethod
    def activation(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        return F.relu(x).square()
''',
        ),
        ("model/feedforward.py", '    "gelu": GELU,', '    "relu2": SquaredReLU,\n'),
    ),
    use="""
from groundup.lab.architecture import architecture
from groundup.model.footprint import training_memory
from groundup.model.sizes import parameter_count

config = replace(TINY, feedforward="relu2")
model = LanguageModel(config)
assert not torch.equal(model(IDS), LanguageModel(TINY)(IDS))
assert sum(weight.numel() for weight in model.parameters()) == parameter_count(config).total
assert training_memory(config, batch_size=1, context_tokens=8).total > 0
assert "Squared ReLU" in str(architecture(config, "tiny"))
""",
)

POSITIONS = Change(
    "add positions to the embedding in another way",
    inserted=(
        (
            "model/positions.py",
            "\n\nADDED_POSITIONS: ",
            '''

class Ramp(AddedPositions):
    """The position itself in every component."""

    title, formula = "Ramp", "a straight line"

    def __init__(self, width: int, context_tokens: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, positions: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        return positions[..., None].float().expand(-1, -1, self.width)
''',
        ),
        ("model/positions.py", '    "learned": LearnedPositions,', '    "ramp": Ramp,\n'),
    ),
    use="""
from groundup.lab.architecture import architecture
from groundup.model.cache import KVCache
from groundup.model.sizes import parameter_count

config = replace(TINY, positions="ramp")
model = LanguageModel(config).eval()
assert sum(weight.numel() for weight in model.parameters()) == parameter_count(config).total
cache = KVCache(config, batch=1)
pieces = [model(piece, cache=cache) for piece in IDS.split(3, dim=1)]
torch.testing.assert_close(torch.cat(pieces, dim=1), model(IDS), atol=1e-4, rtol=1e-4)
embedded = model.transformer.embed(IDS) - model.transformer.embedding(IDS)
assert torch.allclose(embedded[0, :, 0], torch.arange(IDS.shape[1]).float(), atol=1e-5)
assert "a straight line, added" in str(architecture(config, "tiny"))
""",
)

FAMILY = Change(
    "load a new model family",
    inserted=(
        ("model/config.py", '    "llama",', '    "vicuna",\n'),
        (
            "weights/hf_families.py",
            '    "smollm3": HFFamily(',
            '    "vicuna": HFFamily("Vicuna", "vicuna", _ROTARY | _NO_BIAS, _KEYS, _DEFAULTS, _SILU),\n',
        ),
        ("weights/names.py", '    "smollm3": _LLAMA_LIKE,', '    "vicuna": _LLAMA_LIKE,\n'),
        ("weights/gguf_architectures.py", '    "mistral": "llama",', '    "vicuna": "llama",\n'),
        (
            "model/presets.py",
            "    # Radford et al. 2019",
            """    "vicuna-tiny": ModelConfig(
        family="vicuna",
        vocab_size=300,
        context_tokens=32,
        width=32,
        num_layers=1,
        num_heads=2,
        feedforward_width=64,
    ),
""",
        ),
    ),
    use="""
from groundup.model.presets import preset
from groundup.weights.model_io import open_model, save_model

model = LanguageModel(preset("vicuna-tiny")).eval()
save_model(model, tmp / "model")
assert '"VicunaForCausalLM"' in (tmp / "model" / "config.json").read_text()
found = open_model(tmp / "model", CPU)
assert found.config.family == "vicuna" and torch.equal(found.model(IDS), model(IDS))
export(replace(found, tokenizer=TOKENIZER), "gguf", tmp / "model.gguf", quantization="f32")
assert torch.equal(open_model(tmp / "model.gguf", CPU).model(IDS), model(IDS))
""",
)

FILTER = Change(
    "add a quality filter",
    inserted=(
        (
            "data/processing/filters.py",
            "# Applied in this order",
            '''def is_shouted(document: Document) -> str | None:
    """All in capitals."""
    return "shouted" if document.text.isupper() else None


''',
        ),
        ("data/processing/filters.py", "is_empty,)", "is_shouted, "),
    ),
    use="""
from groundup.data.documents import Document
from groundup.data.processing.filters import reason_to_drop

assert reason_to_drop(Document("STOP", "source", "name")) == "shouted"
assert reason_to_drop(Document("Stop.", "source", "name")) is None
""",
)

FORMAT = Change(
    "add an export format, or read another format",
    new_files=(
        (
            "weights/npz.py",
            '''"""A NumPy archive <-> a language model: its parameters by our names, and its config."""

import json
from pathlib import Path

import numpy as np
import torch

from groundup.config import build_config, to_plain
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.weights.model_format import ExportOptions, ModelFormat, ModelReader, ModelSummary, ModelTexts, OpenModel


def _export(opened: OpenModel, out: Path, options: ExportOptions) -> None:
    arrays = {name: tensor.numpy() for name, tensor in opened.model.state_dict().items()}
    np.savez(out, config=json.dumps(to_plain(opened.config)), **arrays)


def _config(path: Path) -> ModelConfig:
    return build_config(ModelConfig, json.loads(str(np.load(path)["config"])))


def _open(path: Path, dtype: torch.dtype) -> OpenModel:
    model = LanguageModel(_config(path))
    archive = np.load(path)
    model.load_state_dict({name: torch.from_numpy(archive[name]) for name in archive.files if name != "config"})
    return OpenModel(model.to(dtype).eval(), None, model.config, path, "language")


def _summary(path: Path) -> ModelSummary:
    return ModelSummary(_config(path), str(path), path.stem, stored={"F32": path.stat().st_size})


READER = ModelReader("npz", _open, _summary, lambda path: ModelTexts("", None, chats=False), lambda path: None)
NPZ = ModelFormat("npz", ".npz", ("f32",), "f32", _export, READER)
''',
        ),
    ),
    inserted=(
        (
            "weights/formats.py",
            "from groundup.weights.modelfile",
            "from groundup.weights.npz import NPZ\n",
        ),
        ("weights/formats.py", '    "ollama": OLLAMA,', '    "npz": NPZ,\n'),
    ),
    use="""
from groundup.serve.model_registry import ModelRegistry
from groundup.weights.model_io import open_model, read_model_summary, save_model

model = LanguageModel(TINY).eval()
save_model(model, tmp / "folder")
(tmp / "served").mkdir()
file = export(open_model(tmp / "folder", CPU), "npz", tmp / "served" / "tiny.npz")
found = open_model(file, CPU)
assert found.config == TINY and torch.equal(found.model(IDS), model(IDS))
assert open_model(tmp / "served", CPU).path == file, "the one model file of a folder"
assert read_model_summary(str(file)).config == TINY
assert [each.name for each in ModelRegistry({}, tmp / "served").aliases()] == ["tiny:latest"]
back = open_model(export(found, "hf", tmp / "back"), CPU)
assert torch.equal(back.model(IDS), model(IDS))
""",
)

LOSS = Change(
    "add a fine-tuning loss",
    inserted=(
        (
            "train/steps/losses.py",
            "@dataclass(frozen=True)\nclass FinetuneLoss:",
            '''def smoothed_loss(model: nn.Module, batch: Batch) -> LossSum:
    """Cross-entropy with label smoothing (Szegedy et al. 2016, section 7): a tenth of each label is spread over the vocabulary."""
    labels = batch.labels.flatten()
    logits = model(batch.ids, mask=batch.mask).flatten(0, 1).float()
    total = F.cross_entropy(logits, labels, ignore_index=IGNORED_LABEL, reduction="sum", label_smoothing=0.1)
    return LossSum(total, int((labels != IGNORED_LABEL).sum()))


''',
        ),
        (
            "train/steps/losses.py",
            '    "class": FinetuneLoss(',
            '    "smoothed": FinetuneLoss("chat", smoothed_loss),\n',
        ),
    ),
    use="""
import json

from groundup.errors import ConfigError
from groundup.weights.model_io import save_model

save_model(LanguageModel(replace(TINY, vocab_size=TOKENIZER.vocab_size)), tmp / "base", TOKENIZER)
lines = [json.dumps({"id": str(n), "instruction": f"Say the fox {n}.", "output": "the quick brown fox"}) for n in range(8)]
(tmp / "instructions.jsonl").write_text("\\n".join(lines) + "\\n")
losses = []
for name in ("next_token", "smoothed"):
    config = groundup.ChatConfig(loss=name, precision="float32", max_tokens=32, tokens=64)
    results = groundup.finetune_chat(tmp / "base", tmp / "instructions.jsonl", tmp / name, config)
    losses.append(results.train_loss)
    assert json.loads((tmp / name / "run.json").read_text())["config"]["loss"] == name
assert losses[0] != losses[1]
try:
    groundup.ChatConfig(loss="smothed")
    raise AssertionError("an unknown loss is refused")
except ConfigError as error:
    assert "'smoothed'" in error.fix
""",
)

STAGE = Change(
    "add a stage",
    new_files=(
        (
            "recipes/stages/count.py",
            '''"""The words of the training texts are counted."""

from groundup.data.split import TRAIN, read_split
from groundup.files import atomic_folder, write_json
from groundup.recipes.stage import Stage, StageContext, StageResult


def run(context: StageContext) -> StageResult:
    texts = [document.text for document in read_split(context.build / "data", TRAIN)]
    words = sum(len(text.split()) for text in texts) * context.recipe.count.times
    with atomic_folder(context.folder) as folder:
        write_json(folder / "results.json", {"words": words})
    return StageResult(f"{words} words")


STAGE = Stage("count", 1, run, 0.01, lambda recipe: "words of the texts", needs=("data",), outputs=("results.json",))
''',
        ),
        (
            "report/sections/count.py",
            '''"""How many words the training texts have."""

from collections.abc import Sequence

from groundup.html_nodes import Child
from groundup.report.chapter import Chapter, StageCard, facts
from groundup.report.report_data import ReportData
from groundup.report.values import count
from groundup.report.values import number


def parts(report: ReportData) -> Sequence[Child] | str:
    words = number(report.json("count/results.json"), "words")
    return "no words have been counted" if words is None else [facts((count(words), "words to train on"))]


COUNT = Chapter(
    "count",
    "Stage 2 · count",
    "How many words",
    "The words of the training texts.",
    parts,
    cards=[StageCard("count", "Counted words", "counts the words of the texts")],
)
''',
        ),
    ),
    inserted=(
        (
            "recipes/recipe.py",
            "class Recipe(",
            "class CountStage(StageConfig):\n    times: Count = 1\n\n\n",
        ),
        ("recipes/recipe.py", "    report: ReportStage", "    count: CountStage = CountStage()\n"),
        (
            "recipes/builds/pipeline.py",
            "from groundup.recipes.stages.data",
            "from groundup.recipes.stages.count import STAGE as COUNT\n",
        ),
        ("recipes/builds/pipeline.py", "TOKENIZER, PRETRAIN)", "COUNT, "),
        (
            "report/pages/build_page.py",
            "from groundup.report.sections.data",
            "from groundup.report.sections.count import COUNT\n",
        ),
        (
            "report/pages/build_page.py",
            "    details += [EXPORT, TIMES",
            "    details.append(COUNT)\n",
        ),
    ),
    use="""
from groundup.progress import Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.builds.build import build
from groundup.recipes.builds.pipeline import plan_build, stages_of
from groundup.recipes.recipe import load_recipe
from groundup.report.pages.build_page import write_page

(tmp / "texts").mkdir()
for number in range(40):
    (tmp / "texts" / f"{number}.txt").write_text(f"Text number {number}.")
recipe = load_recipe(str(tmp / "texts"), BuildConfig(settings=["count.times=1000"]))
stages = stages_of(recipe)
assert stages[-1].name == "report" and "count" in stages[-1].needs
(planned,) = [row for row in plan_build(recipe).stages if row.stage == "count"]
assert planned.what == "words of the texts" and 5.2 < planned.planned_s < 5.3
results = build(recipe, tmp / "build", [stage for stage in stages if stage.name in ("data", "count")], compute=CPU, progress=Silent())
words = results.stages["count"].line.removesuffix(" words")
page = write_page(tmp / "build").read_text()
assert int(words) >= 3000 and f"{int(words):,}" in page and "How many words" in page and "Counted words" in page, words
""",
)

SAMPLING_RULE = Change(
    "add a sampling rule",
    inserted=(
        (
            "engine/sampling.py",
            "\n\n@dataclass(frozen=True)\nclass SamplingRule",
            '''

def keep_top_n_sigma(logits: Array, n: Number) -> Array:  # [V]
    """Tokens further than n standard deviations of the logits below the best become -inf (Tang et al. 2024)."""
    import numpy as np

    return np.where(logits < logits.max() - n * logits.std(), -np.inf, logits)
''',
        ),
        (
            "engine/sampling.py",
            "    repetition_penalty: Annotated[",
            """    top_n_sigma: Annotated[
        Number, SamplingRule(lambda value: value >= 0, "0 (off) or more", keep_top_n_sigma, help="Sigmas.", chat=3.0)
    ] = 0.0
""",
        ),
    ),
    use="""
import groundup
from groundup.cli.generate import SamplingOptions
from groundup.engine.sampling import Sampling, chat_sampling
from groundup.serve.model_registry import AliasChanges, ModelRegistry
from groundup.serve.ollama.generation import read_generate
from groundup.serve.openai.chat import read_chat_completion
from groundup.serve.request_preparation import sampling_of
from groundup.weights.model_io import save_model

save_model(LanguageModel(TINY), tmp / "tiny", TOKENIZER)
model = groundup.open_model(tmp / "tiny", "cpu")
greedy = model.generate("the fox", max_tokens=8, temperature=0)
assert model.generate("the fox", max_tokens=8, temperature=9, top_n_sigma=1e-3) == greedy
assert SamplingOptions(top_n_sigma=1.0).given()["top_n_sigma"] == 1.0 and chat_sampling(tmp)["top_n_sigma"] == 3.0
try:
    Sampling(top_n_sigma=-1)
except ConfigError as error:
    assert str(error).startswith("top_n_sigma must be 0 (off) or more (got -1)")
asked = read_generate({"model": "tiny", "prompt": "a", "options": {"top_n_sigma": 2}})
also = read_chat_completion({"model": "tiny", "messages": [{"role": "user", "content": "a"}], "top_n_sigma": 2})
assert sampling_of(asked.options, 8).top_n_sigma == sampling_of(also.options, 8).top_n_sigma == 2
ModelRegistry({}, tmp).create("named", "tiny", AliasChanges(options=asked.options))
assert ModelRegistry({}, tmp).find("named").options.top_n_sigma == 2
""",
)

TASK = Change(
    "add an evaluation task",
    new_files=(
        (
            "evaluate/tasks/pairs.py",
            '''"""Which of two texts a language model finds more probable."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groundup.device import Compute
from groundup.engine.score import score
from groundup.evaluate.metrics import wilson_interval
from groundup.evaluate.task import HeldOut, EvaluationTask, TaskKind, TaskResult, as_measure, language_model
from groundup.progress import Progress
from groundup.weights.hf_families import ModelKind
from groundup.weights.model_io import OpenModel


@dataclass(frozen=True)
class Pairs:
    """The share of pairs whose right text is the more probable one."""

    pairs: Sequence[tuple[str, str]]
    name: str = "pairs"

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        model, tokenizer = language_model(opened)
        start = [tokenizer.special.document_end_id]
        found = score(model, [(start, tokenizer.encode(text)) for pair in self.pairs for text in pair], compute=compute)
        hits = sum(right.logprob > wrong.logprob for right, wrong in zip(found[::2], found[1::2], strict=True))
        interval = wilson_interval(hits, len(self.pairs))
        return TaskResult((as_measure("accuracy", interval, len(self.pairs), chance=0.5),))


def _tasks(data: HeldOut, kind: ModelKind, progress: Progress) -> list[EvaluationTask]:
    records = [json.loads(line) for line in Path(data.data.path).read_text().splitlines()]
    return [Pairs([(record["right"], record["wrong"]) for record in records[: data.items]])]


PAIRS = TaskKind("pairs", _tasks, field="wrong")
''',
        ),
    ),
    inserted=(
        (
            "evaluate/comparison/run.py",
            "from groundup.evaluate.tasks.text",
            "from groundup.evaluate.tasks.pairs import PAIRS\n",
        ),
        ("evaluate/comparison/run.py", "LABELS, TEXT)", "PAIRS, "),
    ),
    use="""
import groundup, json
from groundup.cli.evaluate import result_lines
from groundup.cli.options import tasks_of
from groundup.progress import Silent
from groundup.weights.model_io import save_model

save_model(LanguageModel(TINY), tmp / "tiny", TOKENIZER)
data = tmp / "pairs.jsonl"
data.write_text('{"right": "the fox", "wrong": "fox the the the the"}\\n' * 3)
config = groundup.EvaluationConfig(items=2)
recognised = groundup.run_evaluation(tmp / "tiny", data, config, device="cpu")
config = replace(config, kind="pairs")
[row] = groundup.run_evaluation(tmp / "tiny", data, config, device="cpu").rows
assert (row.task, row.n, row.chance) == ("pairs", 2, 0.5) and recognised.rows[0].value == row.value
assert any("50.0 %" in line for line in result_lines(recognised))
assert [task.name for task in tasks_of(f"pairs={data}", 0, Silent())] == ["pairs"]
""",
)

EARLIER = (ACTIVATION, POSITIONS, FAMILY, FILTER, TASK, LOSS, SAMPLING_RULE, STAGE, FORMAT)
