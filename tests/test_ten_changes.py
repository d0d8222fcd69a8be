"""What docs/tour.md promises of additions: each is made in a copy of the package, in exactly the files that its row names, and used.

To promise another one: a `Change` in CHANGES. All are made in the same copy, and one process uses them one after the other.
"""

import json
import re
import shutil
from pathlib import Path

import forked_program
import pytest
from earlier_changes import EARLIER, Change
from forked_program import CODE

import groundup

PACKAGE = Path(groundup.__file__).parent
TOUR = PACKAGE.parent / "docs" / "tour.md"

OPTIMIZER = Change(
    "add an optimizer",
    new_files=(
        (
            "train/optimizers/lion.py",
            '''"""Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms"): steps along a sign."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from groundup.train.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from torch import nn

    from groundup.train.optimizers.built import BuiltOptimizer


@dataclass(frozen=True)
class Lion(Optimizer):
    """Lion for all parameters: one running mean of each gradient."""

    name: str = "lion"
    learning_rate: float = 3e-4
    beta1: float = 0.9
    beta2: float = 0.99

    state_size: ClassVar[tuple[int, int]] = (1, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("beta1", "beta2")

    def build(self, model: "nn.Module") -> "BuiltOptimizer":
        import torch

        from groundup.train.optimizers.built import BuiltOptimizer, parameter_groups, trainable

        beta1, beta2 = self.beta1, self.beta2

        class Steps(torch.optim.Optimizer):
            @torch.no_grad()
            def step(self, closure: Any = None) -> None:
                for group in self.param_groups:
                    decay = 1 - group["lr"] * group["weight_decay"]
                    for weight in group["params"]:
                        if weight.grad is None:
                            continue
                        mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                        sign = mean.lerp(weight.grad, 1 - beta1).sign_()
                        weight.mul_(decay).sub_(group["lr"] * sign)
                        mean.lerp_(weight.grad, 1 - beta2)

        groups = parameter_groups(trainable(model).values(), model, self.weight_decay)
        return BuiltOptimizer([Steps(groups, {"lr": self.learning_rate})])
''',
        ),
    ),
    inserted=(
        (
            "train/optimizers/known.py",
            "from groundup.train.optimizers.muon",
            "from groundup.train.optimizers.lion import Lion\n",
        ),
        ("train/optimizers/known.py", "Muon, SGD)", "Lion, "),
    ),
    use="""
from groundup.data.batches.loader import Batch
from groundup.model.footprint import StateSize, training_memory
from groundup.train.steps.config import pretraining_config
from groundup.train.steps.losses import next_token_loss

fit = pretraining_config(3, {"optimizer": {"name": "lion", "beta1": 0.8}})
model, text = LanguageModel(TINY), torch.arange(17).repeat(4, 1)
optimizer, losses = fit.optimizer.build(model), []
optimizer.set_rate(0.003)
for _ in range(6):
    loss = next_token_loss(model, Batch(text[:, :-1], text[:, 1:])).total
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
assert losses[-1] < losses[0]
kept = [tensor for weight in model.parameters() for tensor in optimizer.state_of(weight).values()]
state = StateSize(*fit.optimizer.state_size)
planned = training_memory(TINY, batch_size=4, context_tokens=16, state=state).optimizer
assert planned == 4 * sum(tensor.numel() for tensor in kept)
try:
    pretraining_config(3, {"optimizer": "lions"})
    raise AssertionError("an unknown optimizer is refused")
except ConfigError as error:
    assert "'lion'" in error.fix
""",
)

SCHEDULE = Change(
    "add a learning-rate schedule",
    inserted=(
        (
            "train/steps/config.py",
            '    "wsd": Decay(',
            """    # Hägele et al. 2024, section 4: 1 - sqrt
    "wsd_sqrt": Decay(lambda way: 1 - math.sqrt(way), from_warmup=False),
""",
        ),
    ),
    use="""
from groundup.config import build_config, to_plain
from groundup.train.steps.config import FitConfig, Schedule
from groundup.train.steps.step_schedule import learning_rate

config, straight = (FitConfig(100, schedule=Schedule(name)) for name in ("wsd_sqrt", "wsd"))
assert build_config(FitConfig, to_plain(config)) == config
rates, others = ([learning_rate(step, each) for step in range(100)] for each in (config, straight))
assert rates[:41] == others[:41] and max(rates) == rates[40] == config.optimizer.learning_rate
assert all(rate < other for rate, other in zip(rates[41:99], others[41:99]))
assert rates[99] == config.lowest_learning_rate
try:
    Schedule("linear")
    raise AssertionError("an unknown schedule is refused")
except ConfigError as error:
    assert "wsd_sqrt" in str(error)
""",
)

VECTOR_STORE = Change(
    "keep vectors elsewhere (pgvector, Qdrant)",
    new_files=(
        (
            "retrieve/sqlite_vectors.py",
            '''"""Vectors in a table of SQLite, at an address: the path of its file."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from groundup.retrieve.vector_store import Ids, Rows, Vector


class SQLiteVectors:
    """A `VectorStore` that compares a question with all rows."""

    def __init__(self, place: Path, width: int, address: str) -> None:
        self.connection = sqlite3.connect(address, check_same_thread=False, isolation_level=None)
        self.connection.execute("CREATE TABLE IF NOT EXISTS vector (id INTEGER PRIMARY KEY, row BLOB)")

    def _all(self) -> dict[int, Vector]:
        rows = self.connection.execute("SELECT id, row FROM vector ORDER BY id")
        return {id: np.frombuffer(row, dtype=np.float32) for id, row in rows}

    def prepare(self, live: Ids) -> int:
        found = self._all()
        gone = [(id,) for id in found.keys() - set(live.tolist())]
        self.connection.executemany("DELETE FROM vector WHERE id = ?", gone)
        return max(found, default=0)

    def append(self, ids: Sequence[int], rows: Rows) -> None:
        written = [(id, row.astype(np.float32).tobytes()) for id, row in zip(ids, rows, strict=True)]
        self.connection.executemany("INSERT INTO vector VALUES (?, ?)", written)

    def nearest(self, query: Vector, limit: int) -> list[tuple[int, float]]:
        found = [(id, float(row @ query)) for id, row in self._all().items()]
        return sorted(found, key=lambda each: (-each[1], each[0]))[:limit]

    def rows(self, ids: Sequence[int]) -> dict[int, Vector]:
        found = self._all()
        return {id: found[id] for id in ids if id in found}

    def current(self) -> "SQLiteVectors":
        return self
''',
        ),
    ),
    inserted=(
        (
            "retrieve/known_stores.py",
            "from groundup.retrieve.vector_store",
            "from groundup.retrieve.sqlite_vectors import SQLiteVectors\n",
        ),
        ("retrieve/known_stores.py", "FILES: MappedVectors}", '"sqlite": SQLiteVectors, '),
    ),
    use="""
import shutil

import numpy as np

from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.search import find
from groundup.retrieve.vectors import Vectors, make_vectors
from groundup.retrieve.vectors_info import read_vectors_info


def letters(texts):
    counts = [[1e-3 + text.lower().count(chr(97 + n)) for n in range(26)] for text in texts]
    rows = np.array(counts, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def found_by(store):
    shutil.rmtree(folder / "vectors", ignore_errors=True)
    made = make_vectors(folder, letters, "letters", store=store, progress=Silent())
    vectors = Vectors(read_vectors_info(folder), letters)
    with Index(folder) as index:
        passages = [find(index, "zebra", 9, by).passages for by in (vectors.ranking, vectors.mixture())]
    return made, [[(each.id, round(each.score, 4)) for each in each_way] for each_way in passages]


(tmp / "docs").mkdir()
for word in ("zebras", "apples", "boilers"):
    (tmp / "docs" / f"{word}.txt").write_text(f"All about {word}.")
folder = tmp / "words.index"
groundup.index(tmp / "docs", folder)
made, found = found_by(f"sqlite:{tmp / 'vectors.db'}")
assert made == 3 and len(found[0]) == 3 and not list((folder / "vectors").glob("*.f32"))
assert (made, found) == found_by("files")
""",
)

ENDPOINT = Change(
    "add an endpoint to the API of OpenAI",
    inserted=(
        (
            "serve/openai/routes.py",
            '        Route("/v1/models", api.models',
            '        Route("/v1/tokenize", api.tokenize, methods=["POST"]),\n',
        ),
        (
            "serve/openai/routes.py",
            "    async def models(self, request",
            """    async def tokenize(self, request: Request) -> Response:
        body = read_fields(ClassifyBody, await self.server.read_body(request))
        alias, info = await self.server.find(body.model, "completion")
        async with self.server.loaded_models.lease(alias.base, info, None) as loaded:
            tokenizer = loaded.tokenizer()
            return JsonResponse({"tokens": [tokenizer.encode(text) for text in body.input]})

""",
        ),
    ),
    use="""
from starlette.testclient import TestClient

from groundup.cli.serve import ServerOptions, server_of
from groundup.http.limits import Limits
from groundup.serve.app.application import app_of, paths_of
from groundup.serve.model_registry import ModelRegistry
from groundup.weights.model_io import save_model

save_model(LanguageModel(TINY), tmp / "tiny", TOKENIZER)
server = server_of(ModelRegistry({"tiny": tmp / "tiny"}), ServerOptions(), Limits())
app = app_of(server)
with TestClient(app) as client:
    answer = client.post("/v1/tokenize", json={"model": "tiny", "input": ["the fox", "dog"]})
    assert answer.json() == {"tokens": [TOKENIZER.encode("the fox"), TOKENIZER.encode("dog")]}, answer.text
    refused = client.post("/v1/tokenize", json={"model": "tiny", "input": 3})
    assert refused.status_code == 400 and "input" in refused.json()["error"]["message"]
    lost = client.post("/v1/tokenise", json={})
    assert "this server has /v1/tokenize." in lost.json()["error"]["message"]
assert "/v1/tokenize" in paths_of(app), "the access log names it"
""",
)

DOCUMENT_TYPE = Change(
    "read another kind of text with markup",
    new_files=(
        (
            "data/reading/subtitles.py",
            '''"""SubRip subtitles (.srt) as plain text: what is said, without numbers and times."""

from groundup.data.reading.restructured import TextWriter


def subtitles(text: str, out: TextWriter) -> None:
    """Write the lines that are said."""
    for line in text.split("\\n"):
        if line.strip() and not line.strip().isdecimal() and "-->" not in line:
            out.line(line)
''',
        ),
    ),
    inserted=(
        (
            "data/reading/markup_text.py",
            "from groundup.data.reading.restructured",
            "from groundup.data.reading.subtitles import subtitles\n",
        ),
        ("data/reading/markup_text.py", '    ".tex": latex', '    ".srt": subtitles,\n'),
    ),
    use="""
from groundup.data.reading.options import options_of
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source, source_of
from groundup.retrieve.index import Index

(tmp / "film").mkdir()
(tmp / "film" / "one.srt").write_text("1\\n00:00:01,000 --> 00:00:02,000\\nThe fox is quick.\\n")
data, report = groundup.Data(tmp / "film"), SourceReport()
texts = [each.text for each in read_source(source_of(data), options_of(data), report)]
assert texts == ["The fox is quick.\\n"] and not report.skipped
(inspected,) = groundup.inspect_data(tmp / "film")
assert inspected.words == 4
results = groundup.index(tmp / "film", tmp / "film.index")
assert results.counts.documents == 1
(passage,) = groundup.search(tmp / "film.index", "quick fox").passages
assert passage.text == "The fox is quick."
""",
)

IPO = Change(
    "add a loss of answers that are compared (IPO)",
    inserted=(
        (
            "train/steps/losses.py",
            "@dataclass(frozen=True)\nclass FinetuneLoss:",
            '''def ipo_loss(model: nn.Module, batch: Any) -> LossSum:
    """Identity preference optimization, summed over pairs (Azar et al. 2023, eq. 17): the chosen
    answer's gain exceeds the rejected one's by 1 / (2 beta), and no more.

        L = (h - 1 / (2 beta))^2          h = (log pi(w) - log ref(w)) - (log pi(l) - log ref(l))
    """
    assert isinstance(model, LanguageModel)
    policy = answer_logprobs(model, batch.ids.flatten(0, 1), batch.labels.flatten(0, 1))
    gains = policy.view(-1, 2) - batch.reference  # [B, 2]
    wanted = 1 / (2 * batch.beta)
    return LossSum(((gains[:, 0] - gains[:, 1] - wanted) ** 2).sum(), len(gains))


''',
        ),
        (
            "train/steps/losses.py",
            '    "dpo": FinetuneLoss(',
            '    "ipo": FinetuneLoss("preference", ipo_loss),\n',
        ),
    ),
    use="""
import json

from groundup.errors import ConfigError
from groundup.weights.model_io import open_model, save_model

save_model(LanguageModel(replace(TINY, vocab_size=TOKENIZER.vocab_size)), tmp / "base", TOKENIZER)
pairs = [{"prompt": f"Say the fox {n}.", "chosen": "the fox", "rejected": "a dog"} for n in range(12)]
(tmp / "pairs.jsonl").write_text("".join(json.dumps(each) + "\\n" for each in pairs))
config = groundup.PreferenceConfig(
    loss="ipo", epochs=8, learning_rate=5e-3, precision="float32", batch_size=4
)
results = groundup.finetune_preference(tmp / "base", tmp / "pairs.jsonl", tmp / "run", config)
assert json.loads((tmp / "run" / "run.json").read_text())["config"]["loss"] == "ipo"
assert results.margin > 0 and results.accuracy["value"] == 1.0, results
try:
    groundup.ChatConfig(loss="ipo")
    raise AssertionError("a loss of pairs is refused for conversations")
except ConfigError:
    pass
""",
)

END_RULE = Change(
    "add a rule that ends an answer",
    inserted=(
        (
            "engine/sampling.py",
            "\n\n@dataclass(frozen=True)\nclass SamplingRule",
            '''

def after_words(text: str, count: int) -> int | None:
    """Return where the last of this many whole words of a text ends, None before it does."""
    words = [found.end() for found in re.finditer(r"\\S+(?=\\s)", text)]
    return words[count - 1] if len(words) >= count else None
''',
        ),
        ("engine/sampling.py", "from collections.abc", "import re\n"),
        (
            "engine/sampling.py",
            "    repeat_last_n: int = 64",
            """    max_words: Annotated[
        int,
        SamplingRule(lambda value: value >= 0, "0 (off) or more", end=after_words, help="Words."),
    ] = 0
""",
        ),
    ),
    use="""
from groundup.cli.generate import SamplingOptions
from groundup.engine.sampling import Sampling, after_words
from groundup.engine.stream import TextStream
from groundup.serve.ollama.generation import read_generate
from groundup.serve.request_preparation import sampling_of
from groundup.weights.model_io import save_model

stream = TextStream(TOKENIZER, ("dog",), ends=Sampling(max_words=3).ends)
pieces = [stream.push(id) for id in TOKENIZER.encode("the quick brown fox jumps")]
assert "".join(pieces) + stream.finish() == "the quick brown" and stream.stopped
save_model(LanguageModel(TINY), tmp / "tiny", TOKENIZER)
model = groundup.open_model(tmp / "tiny", "cpu")
drawn = dict(max_tokens=24, temperature=2.0, seed=3)
whole = model.generate("the fox", **drawn)
assert model.generate("the fox", **drawn, max_words=1) == whole[: after_words(whole, 1)] != whole
assert SamplingOptions(max_words=2).given()["max_words"] == 2
asked = read_generate({"model": "tiny", "prompt": "a", "options": {"max_words": 2}})
assert sampling_of(asked.options, 8).max_words == 2
try:
    Sampling(max_words=-1)
    raise AssertionError("a value that can't be is refused")
except ConfigError as error:
    assert str(error).startswith("max_words must be 0 (off) or more (got -1)")
""",
)

COLOUR = Change(
    "add a colour to pages and pictures",
    inserted=(
        (
            "palette.py",
            "}\nLIGHT = ",
            '    "series-9": ("#6b4f2a", "#d6b98c"),\n    "note": ("#1f757c", "#76cdd4"),\n',
        ),
    ),
    use="""
from groundup.html_nodes import node
from groundup.lab.drawing.embeddings import SERIES
from groundup.palette import custom_properties as of_the_page
from groundup.report.chapter import html_page

page = html_page("colours", node("p", "Noted."))
assert page.count("--note: #1f757c;") == 2, "on the screen, and on paper"
assert page.count("--note: #76cdd4;") == 1
assert "--series-9: #6b4f2a;" in page and "--note: #1f757c;" in of_the_page()
assert len(SERIES) == 9 and SERIES[8] == "#6b4f2a", "a ninth curve has a colour of its own"
""",
)

QUANTIZATION = Change(
    "write another GGUF quantization",
    inserted=(
        ("weights/gguf.py", '"q8_0", "q4_0"]', '"q5_0", '),
        (
            "weights/gguf.py",
            '    "q4_0": (Kind',
            '    "q5_0": (Kind.Q5_0, gguf.LlamaFileType.MOSTLY_Q5_0),\n',
        ),
        (
            "evaluate/parity_checks.py",
            '    "q4_0": Tolerance(',
            '    "q5_0": Tolerance(near=3.0, worst=8.0, median=0.6, largest=None),\n',
        ),
    ),
    use="""
from groundup.config import build_config
from groundup.evaluate.parity_checks import TOLERANCES
from groundup.recipes.recipe import ExportStage
from groundup.weights.gguf import weight_bytes
from groundup.weights.model_io import open_model, read_model_summary, save_model

model = LanguageModel(TINY).eval()
save_model(model, tmp / "folder", TOKENIZER)
away = []
for quantization in ("q8_0", "q5_0", "q4_0"):
    file = tmp / f"{quantization}.gguf"
    groundup.convert(tmp / "folder", file, quantization=quantization, check=False)
    away.append((open_model(file, CPU).model(IDS) - model(IDS)).abs().mean().item())
assert away == sorted(away) and away[0] < away[1] < away[2], away
stored = read_model_summary(str(tmp / "q5_0.gguf")).stored
assert stored["Q5_0"] > 0 and weight_bytes("q5_0") == 22 / 32
assert "q5_0" in TOLERANCES
assert build_config(ExportStage, {"quantizations": ["q5_0"]}).quantizations == ("q5_0",)
try:
    groundup.convert(tmp / "folder", tmp / "no.gguf", quantization="q5_9")
    raise AssertionError("an unknown quantization is refused")
except ConfigError as error:
    assert "q5_0" in str(error) + error.fix
""",
)

METRIC = Change(
    "add a metric of classifiers",
    inserted=(
        (
            "evaluate/metrics.py",
            "def f1(",
            '''def balanced_accuracy(confusion: Sequence[Sequence[int]]) -> Interval:
    """Return the mean recall of the labels that occur, without an interval."""
    recalls = [row[i] / sum(row) for i, row in enumerate(confusion) if sum(row)]
    return Interval(math.fsum(recalls) / len(recalls))


''',
        ),
        ("evaluate/metrics.py", '    "macro_f1",', '    "balanced_accuracy",\n'),
        ("evaluate/tasks/label_figures.py", "    confusion_matrix,\n", "    balanced_accuracy,\n"),
        (
            "evaluate/tasks/label_figures.py",
            '    details = {"labels": list(labels), "positive"',
            '    balanced = as_measure("balanced_accuracy", balanced_accuracy(confusion), n)\n',
        ),
        ("evaluate/tasks/label_figures.py", "), details, right)", ", balanced"),
    ),
    use="""
from groundup.cli.evaluate import result_lines
from groundup.evaluate.tasks.label_figures import compare
from groundup.weights.model_io import save_model

model = LanguageModel(replace(TINY, context_tokens=256))
save_model(model, tmp / "tiny", TOKENIZER)
lines = ["text,label", *(f"the fox {n},{'animal' if n % 4 else 'other'}" for n in range(8))]
(tmp / "labels.csv").write_text("\\n".join(lines) + "\\n")
results = groundup.run_evaluation(tmp / "tiny", tmp / "labels.csv", device="cpu")
[row] = [row for row in results.rows if row.metric == "balanced_accuracy"]
assert 0 <= row.value <= 1 and row.n == 8
[shown] = [line for line in result_lines(results) if "balanced_accuracy" in line]
assert f"{100 * row.value:.1f} %" in shown
rows, _ = compare({"one": ["a", "b"], "two": ["a", "a"]}, ["a", "b"], ["a", "b"], "b")
assert [row["name"] for row in rows] == ["one", "two"], "tables of methods go on"
""",
)

CHANGES = (
    *EARLIER,
    OPTIMIZER,
    SCHEDULE,
    VECTOR_STORE,
    ENDPOINT,
    DOCUMENT_TYPE,
    IPO,
    END_RULE,
    COLOUR,
    QUANTIZATION,
    METRIC,
)

# What every use may name.
BEFORE_USE = """
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

import groundup
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.formats import export

CPU = Compute(torch.device("cpu"))
TINY = ModelConfig(vocab_size=300, context_tokens=32, width=32, num_layers=1, num_heads=2, feedforward_width=64)
IDS = torch.arange(8)[None]
TOKENIZER = train_tokenizer(["the quick brown fox jumps over the lazy dog. "] * 20, 300)
"""
# In a process that is forked from one with torch: the package is imported anew, from the copy.
RUN_ALL = """
import json, sys, traceback

for name in [name for name in sys.modules if name.partition(".")[0] == "groundup"]:
    del sys.modules[name]
sys.path.insert(0, sys.argv[3])
names = {}
exec(sys.argv[1], names)
assert names["groundup"].__file__.startswith(sys.argv[3])
found = {}
for row, use in json.loads(sys.argv[2]).items():
    with names["tempfile"].TemporaryDirectory() as folder:
        try:
            exec(use, {**names, "tmp": names["Path"](folder)})
            found[row] = ""
        except Exception:
            found[row] = traceback.format_exc()
print(json.dumps(found))
"""


def apply(change: Change, package: Path) -> None:
    for file, content in change.new_files:
        assert not (package / file).exists(), f"{file} is there already"
        (package / file).write_text(content, encoding="utf-8")
    for file, anchor, text in change.inserted:
        content = (package / file).read_text(encoding="utf-8")
        assert anchor in content, f"{file} has no {anchor!r}"
        (package / file).write_text(content.replace(anchor, text + anchor, 1), encoding="utf-8")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Row -> "", or the traceback of its use."""
    root = tmp_path_factory.mktemp("changed")
    shutil.copytree(PACKAGE, root / "groundup")  # with what Python compiled of it
    for change in CHANGES:
        apply(change, root / "groundup")
    uses = json.dumps({change.row: change.use for change in CHANGES})
    done = forked_program.run(RUN_ALL, BEFORE_USE, uses, root, program=CODE, PYTHONPATH=str(root))
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.row)
def test_an_addition_works_with_the_files_that_the_tour_names(
    change: Change, outcomes: dict[str, str]
) -> None:
    assert outcomes[change.row] == ""


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.row)
def test_the_tour_names_exactly_the_files_of_an_addition(change: Change) -> None:
    row = re.search(
        rf"^\| {re.escape(change.row)} \| (.*) \|$", TOUR.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert row, f"docs/tour.md has no row {change.row!r}"
    named = {
        path
        for path in re.findall(r"`([\w/]+(?:/|\.py))`", row[1])
        if not path.startswith("tests/")
    }
    folders = {path for path in named if path.endswith("/")}
    assert {f"{Path(file).parent.as_posix()}/" for file, _ in change.new_files} == folders
    assert {file for file, *_ in change.inserted} == named - folders
