"""The Python surface of groundup: what `import groundup` hands out, for notebooks and scripts. The
verbs of the command line call the same.

    open_model -> Model      generate, stream, chat, classify, score, embed, save; its tokenizer
    pretrain, finetune_classifier, finetune_chat, finetune_preference, run_evaluation, run_suites,
        build      each returns the results that it writes
    inspect_data, index, search, ask      texts and documents (api_documents.py)
    pull, convert                         a model's files (api_models.py)

A path is a `str` or a `Path`; the device is chosen where none is named (cuda, then mps, then cpu);
`progress` is told how far the work is. The same call again resumes a stopped run. `settings` are
the fields that `--set` of the same verb reaches, as {"fit.learning_rate": 0.001}. Errors are
GroundupErrors, with a message and what to do. Functions import what they need when they are called:
this module comes without torch.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groundup.api_documents import ask as ask
from groundup.api_documents import index as index
from groundup.api_documents import inspect_data as inspect_data
from groundup.api_documents import search as search
from groundup.api_models import convert as convert
from groundup.api_models import pull as pull
from groundup.config import Settings, apply_sets, build_config, checked_arguments, require_names
from groundup.errors import ConfigError, DataError, ModelError
from groundup.progress import Progress, Silent
from groundup.recipes.packaged import RUNS, STARTER, instructions_source, licence_of
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.engine.engine import Engine
    from groundup.engine.events import ChatEvent
    from groundup.engine.sampling import Sampling
    from groundup.engine.score import ScoredContinuation
    from groundup.engine.structured_output import OutputConstraint
    from groundup.tokenizer.chat import Conversation, Message
    from groundup.tokenizer.fast import Tokenizer
    from groundup.train.steps.process_group import ProcessGroup
    from groundup.weights.card import ModelCard

AnyPath = str | Path
# Labelled texts that a classifier is made of, and items that a figure is measured on, at most.
MESSAGES, ITEMS = 2400, 200
CHAT_EPOCHS, LORA_RANK = 3.0, 8
PREFERENCE_EPOCHS, PREFERENCE_BETA = 1.0, 0.1


@checked_arguments
def open_model(
    path_or_name: AnyPath,
    device: str = "auto",
    precision: str | None = None,
    *,
    prefer: Literal["chat", "classifier", "pretrain"] = "chat",
    speculate: bool = False,
    progress: Progress | None = None,
) -> "Model":
    """Open a model: a name that `groundup pull` knows, a run or Hugging Face folder, a .gguf file,
    or a build (its `prefer`).

    `precision`: float32, bf16, int8, int4, or auto (the fastest, measured once). None: `generate`,
    `stream` and `chat` write in int8 where this processor has bf16, numba is installed and the
    model's folder keeps packed weights; all else, `score`, `embed` and `save`, is in float32, for
    which the model is opened a second time when it is first asked for. `speculate`: answers that
    repeat their prompt come faster, by draft tokens from it (engine/prompt_lookup.py). Raises
    ConfigError, ModelError, FormatError, NetworkError.

    >>> model = groundup.open_model("runs/mine")
    >>> model.tokenizer.decode(model.tokenizer.encode("to be"))
    'to be'
    """
    from groundup.device import select_compute
    from groundup.engine.engine import Engine
    from groundup.engine.precision import as_precision_choice, open_in, open_to_write
    from groundup.engine.prompt_lookup import DRAFT_TOKENS
    from groundup.weights.model_io import find_model

    choice = None if precision is None else as_precision_choice(precision)
    compute = select_compute(device)
    path = find_model(path_or_name, prefer=prefer, progress=progress, hashes=False)
    draft_tokens = DRAFT_TOKENS if speculate else 0
    if choice:
        return Model(
            Engine(*open_in(choice, path, compute, progress=progress), draft_tokens=draft_tokens)
        )
    opened, used = open_to_write(path, compute, progress=progress)
    writer = Engine(opened, used, draft_tokens=draft_tokens)
    if used == compute:
        return Model(writer)
    return Model(writer, exact=lambda: Engine(*open_in("float32", path, compute)))


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
        """The model's tokenizer: text <-> ids."""
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
    def classify(self, texts: str | Sequence[str]) -> Any:
        """The probability of each label, most probable first: a dict for a text, a list of them for
        several.

        >>> classifier = groundup.open_model("runs/spam")
        >>> sorted(classifier.classify("see you at the station"))
        ['ham', 'spam']
        """
        return (
            self.engine.classify([texts])[0]
            if isinstance(texts, str)
            else self.engine.classify(texts)
        )

    @checked_arguments
    def words_for(self, text: str, label: str | None = None) -> dict[str, float]:
        """The words of a text by how strongly they speak for a label (None: the most probable one):
        the fall of its log-odds without each.

        The text is read once more for each distinct word, at most 100 (`lab.word_effects`).

        >>> classifier = groundup.open_model("runs/spam")
        >>> sorted(classifier.words_for("to be or not to be"))
        ['be', 'not', 'or', 'to']
        """
        from groundup.lab.word_effects import word_effects

        found = word_effects(self.engine, text, label or next(iter(self.classify(text))))
        return {each.word: each.effect for each in found.effects}

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
    def embed(self, texts: str | Sequence[str], *, progress: Progress | None = None) -> "Tensor":
        """A vector of length 1 for each text, cut to the context: [texts, width], on the CPU; best
        by an encoder ("all-minilm-l6-v2").

        >>> model = groundup.open_model("runs/mine")
        >>> near = model.embed(["to be", "to be or not"]) @ model.embed("to be").T
        """
        return self.exact.embed([texts] if isinstance(texts, str) else texts, progress=progress)

    @checked_arguments
    def save(self, path: AnyPath, format: str = "hf", *, encoding: str | None = None) -> Path:
        """Write the model as a Hugging Face folder ("hf"), a GGUF file ("gguf") or a folder for
        Ollama ("ollama"). Return the path.

        `encoding`: f32, f16, bf16, and in a GGUF file q8_0 or q4_0. `groundup convert` holds the
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
        return export(opened, format, Path(path), encoding=encoding)

    def events(
        self, prompt: str, sampling: "Sampling", output: "OutputConstraint | None" = None
    ) -> "Iterator[ChatEvent]":
        """The continuation of `prompt` with its counters and the reason of its end."""
        if output is None:
            return self.engine.complete(prompt, sampling)
        from groundup.engine.grammar import Grammars

        grammars = Grammars(self.tokenizer, self.engine.opened.config.vocab_size)
        return self.engine.complete(prompt, sampling, grammars.constraint(output))

    def chat_sampling(self, given: Mapping[str, Any]) -> "Sampling":
        """How the answers of a conversation are drawn: as `given`, else as the model recommends.

        Raises ConfigError.
        """
        from groundup.engine.sampling import CHAT_MAX_TOKENS, chat_sampling

        return sampling_of(
            {"max_tokens": CHAT_MAX_TOKENS, **chat_sampling(self.engine.opened.path), **given}
        )


def sampling_of(given: Mapping[str, Any]) -> "Sampling":
    """The options of an answer, checked.

    Raises ConfigError for an unknown name or a value out of range.
    """
    from groundup.engine.sampling import Sampling

    stop = given.get("stop")
    return build_config(Sampling, {**given, "stop": (stop,)} if isinstance(stop, str) else given)


def conversation_of(messages: "str | Sequence[Message | Mapping[str, Any]]") -> "Conversation":
    """A text as one message of a user, messages as they are. Raises ConfigError, DataError."""
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


@checked_arguments
def pretrain(
    data: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
    group: "ProcessGroup | None" = None,
    general: AnyPath | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train a language model on texts, a data folder or token shards; its folder is `out`. Return
    what results.json holds.

    It begins with random weights, or goes on with a model: `init_from` names it, `replay` general
    text to be read beside the new, so that less is forgotten ({"general.txt": 0.1}: a tenth). What
    was forgotten is measured on general text, packaged or of the file `general`.

    `data`: one address or several (docs/data.md), or a .toml that lists them. `options` are those
    of `groundup pretrain`, by name (`planning.pretrain_options.pretrain_options`): how long
    (minutes, steps, tokens or epochs), how large (size, depth or preset), tokenizer, law, settings,
    seed, how texts are read (text_column, encoding, test_fraction, keep_dropped, follow_links),
    processed (process, rules, languages, decontaminate), by whom (engine), mixed
    (mixture={"letters": 2, "books": 1}, max_epochs_per_source), and cut into rows (packing,
    stride); with `fixed_choices` precision, threads and compilation follow rules, nothing is
    measured. The results have the bits per byte of validation, by which the weights were chosen,
    under "test" those of the test split, and under "sources" what was read of each. `group`: the
    processes that train together.

    >>> results = groundup.pretrain("my-texts", "runs/new", steps=2, depth=1)
    >>> results["steps"], results["bits_per_byte"] > 0
    (2, True)
    """
    from groundup.device import select_compute
    from groundup.evaluate.comparison.forgetting import suites
    from groundup.planning.corpus import PREPARED, licences
    from groundup.planning.plan import plan_lines
    from groundup.planning.prepare import prepare_on_all_ranks
    from groundup.planning.pretrain_options import pretrain_options
    from groundup.train.monitor.time_budget import StepControl
    from groundup.train.pretrain import pretrain
    from groundup.train.run_lifecycle import claim_folder
    from groundup.train.steps.process_group import SINGLE_PROCESS
    from groundup.weights.card import ModelCard

    require_names("pretrain", options, inspect.signature(pretrain_options).parameters)
    run = RunFolder(Path(out))
    if (init_from := options.get("init_from")) is not None and run.path.resolve() == Path(
        init_from
    ).resolve():
        raise ConfigError(
            f"{out} is the model that the training starts from.",
            fix="Choose another folder with --out.",
        )
    asked = pretrain_options(data, **options)
    compute = select_compute(device, fixed_choices=asked.fixed_choices)
    if general is not None and asked.start is None:
        raise ConfigError(
            "There is nothing to forget from random weights.",
            fix="Leave --general out, or name a model with --from.",
        )
    group, progress = group or SINGLE_PROCESS, progress or Silent()
    forgetting = suites(general, progress) if asked.start else ()
    group.first(lambda: claim_folder(run, kind="pretrain", fresh=fresh, also=PREPARED))
    made = prepare_on_all_ranks(asked, run, compute, progress, group)
    if made.fit.parallel == "fsdp" and group.patient is None:
        progress.say(
            "note: fit.parallel=fsdp shares a model among processes; this is a single one (docs/large.md)."
        )
    for line in plan_lines(made.plan) if made.plan else ():
        progress.say(line)
    start = asked.start
    began = f"Continued training of {start.name}." if start else "Trained from random weights."
    return pretrain(
        *(made.shards, made.tokenizer, made.shape, made.fit, run),
        compute=compute,
        progress=progress,
        card=ModelCard(
            *(run.path.resolve().name, began, licences(asked.data)),
            base=start.name if start else None,
            license=start.license if start else "",
        ),
        monitor=asked.monitor,
        group=group,
        control=StepControl(asked.time_budget),
        start=start,
        forgetting=forgetting,
    )


@checked_arguments
def finetune_classifier(
    model: AnyPath,
    data: AnyPath,
    out: AnyPath,
    *,
    text_column: str = "",
    label_column: str = "",
    label_from: str = "",
    label_separator: str = "",
    messages: int = MESSAGES,
    min_per_class: int = 0,
    validation: AnyPath | None = None,
    test: AnyPath | None = None,
    question: str | None = None,
    few_shot: int | None = None,
    sha256: str = "",
    encoding: str = "auto",
    follow_links: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a classifier of a language model and of labelled texts, at most `messages` of them.
    Return what results.json holds.

    `settings` are fields of `finetune.classifier.ClassifierConfig`. The results have the baselines
    beside it, among them the base model asked `question`, without examples and after `few_shot` of
    each label (0: not; None: as chosen on validation, where it takes at most a minute). Classes of
    fewer than `min_per_class` texts are left out. `validation` and `test` are own splits: all of
    `data` is then trained on, but for what stands in them too. `sha256` is that of the file at a
    pypi: or https: address. `label_from` "name": the label of a text is the name of its folder or
    mailbox; "column": it stands in a column; "": which of them, is recognised. A text may have
    none, one or several labels where they stand in lists, or in a column between `label_separator`.

    >>> results = groundup.finetune_classifier("runs/mine", "messages.csv", "runs/ham-or-spam", settings={"epochs": 1})
    >>> results["labels"]
    ['ham', 'spam']
    """
    from groundup.data.reading.examples import read_splits
    from groundup.data.reading.multi_label import require_label_sets
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions
    from groundup.device import select_compute
    from groundup.finetune.classifier import fit_classifier
    from groundup.finetune.classifier_baselines import add_baselines
    from groundup.finetune.classifier_config import ClassifierConfig
    from groundup.finetune.features import FEATURES_FILE
    from groundup.finetune.label_errors import FOLDS_FOLDER
    from groundup.finetune.learning_curve import CURVE_FOLDER
    from groundup.finetune.learning_rate import RATES_FOLDER
    from groundup.finetune.multi_label_baselines import add_set_baselines, require_asked_of_each
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run = progress or Silent(), RunFolder(Path(out))
    config = build_config(ClassifierConfig, apply_sets({"seed": seed}, settings))
    source = Source(str(data), sha256, follow_links=follow_links)
    if sha256 and source.is_local:
        raise ConfigError(
            f"{data} is on disk, so its SHA-256 would not be compared.",
            fix="Leave it out: it is for pypi: and https:.",
        )
    options = SourceOptions(
        text_column,
        label_column=label_column,
        encoding=encoding,
        label_from=label_from,
        label_separator=label_separator,
    )
    named = (("validation", validation), ("test", test))
    given = {
        name: Source(str(each), follow_links=follow_links)
        for name, each in named
        if each is not None
    }
    require_model(model)
    splits = read_splits(
        source,
        options,
        messages=messages,
        min_per_class=min_per_class,
        given=given,
        seed=seed,
        progress=progress,
    )
    if require_label_sets(splits):
        require_asked_of_each(question, few_shot)
    claim_folder(
        run,
        kind="classifier",
        fresh=fresh,
        also=(FEATURES_FILE, RATES_FOLDER, CURVE_FOLDER, FOLDS_FOLDER),
    )
    opened = open_model(model, compute, progress=progress)
    card = card_of(run, "Classifies texts.", data, model, opened.license)
    results = fit_classifier(
        opened, splits, run, config, compute=compute, progress=progress, card=card
    )
    if "same_messages" not in results:
        told: dict[str, Any] = {"question": question, "compute": compute, "progress": progress}
        if results.get("multi_label"):
            return add_set_baselines(results, opened, splits, run, **told)
        results = add_baselines(results, opened, splits, run, few_shot=few_shot, **told)
    return results


@checked_arguments
def finetune_chat(
    model: AnyPath,
    data: AnyPath,
    out: AnyPath,
    *,
    tokens: int | None = None,
    epochs: float = CHAT_EPOCHS,
    train: Literal["lora", "all"] = "lora",
    rank: int = LORA_RANK,
    targets: Sequence[str] = (),
    merge: bool = False,
    general: AnyPath | None = None,
    columns: Mapping[str, str] | str = "",
    layout: str = "",
    encoding: str = "auto",
    follow_links: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Teach a language model to answer (a file or folder of examples, or "starter"). Return what
    results.json holds.

    The whole set is read `epochs` times, at most so many `tokens`. `train`: LoRA adapters of `rank`
    R around the matrices in `targets` (none: all), or all weights. The folder holds the adapters in
    PEFT's format, with `merge` the whole model. Instructions, prompts with completions and
    conversations are recognised; `columns` names the columns where they are not: {"prompt":
    "question"}. `settings` are fields of `finetune.instruct.ChatConfig`. `general`: a file of
    general text, on which what was forgotten is measured.

    >>> results = groundup.finetune_chat("runs/mine", "instructions.jsonl", "runs/chat", tokens=200)
    >>> sorted(results["held_out_loss"])
    ['after', 'before']
    """
    from groundup.data.reading.description import parse_columns
    from groundup.data.reading.examples import read_chat
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions
    from groundup.device import select_compute
    from groundup.finetune.instruct import ChatConfig, fit_chat
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run = progress or Silent(), RunFolder(Path(out))
    named = {
        "seed": seed,
        "tokens": tokens,
        "epochs": epochs,
        "train": train,
        "rank": rank,
        "merge": merge,
    }
    config = build_config(ChatConfig, apply_sets({**named, "targets": tuple(targets)}, settings))
    source = Source(instructions_source(str(data)), follow_links=follow_links)
    options = SourceOptions(columns=parse_columns(columns), layout=layout, encoding=encoding)
    require_model(model)
    examples = read_chat(source, options, progress=progress)
    claim_folder(run, kind="chat", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = card_of(run, "Answers short instructions.", data, model, opened.license)
    told: dict[str, Any] = {"compute": compute, "progress": progress, "card": card}
    return fit_chat(opened, examples, run, config, **told, general=general)


@checked_arguments
def finetune_preference(
    model: AnyPath,
    data: AnyPath,
    out: AnyPath,
    *,
    epochs: float = PREFERENCE_EPOCHS,
    tokens: int | None = None,
    beta: float = PREFERENCE_BETA,
    train: Literal["lora", "all"] = "lora",
    rank: int = LORA_RANK,
    targets: Sequence[str] = (),
    merge: bool = False,
    general: AnyPath | None = None,
    columns: Mapping[str, str] | str = "",
    layout: str = "",
    encoding: str = "auto",
    follow_links: bool = False,
    settings: Settings | None = None,
    seed: int = 0,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Teach a chat model which of two answers is the better one (DPO), from pairs of chosen and
    rejected. Return what results.json holds.

    `beta`: how strongly the model is held to what it was. `settings` are fields of
    `finetune.preference.PreferenceConfig`; the rest is as in `finetune_chat`.

    >>> results = groundup.finetune_preference("runs/mine", "pairs.jsonl", "runs/preferred", tokens=200)
    >>> round(results["held_out_loss"]["before"], 3)
    0.693
    """
    from groundup.data.reading.description import parse_columns
    from groundup.data.reading.examples import read_preferences
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions
    from groundup.device import select_compute
    from groundup.finetune.preference import PreferenceConfig, fit_preference
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run = progress or Silent(), RunFolder(Path(out))
    named = {
        "seed": seed,
        "tokens": tokens,
        "epochs": epochs,
        "beta": beta,
        "train": train,
        "rank": rank,
    }
    config = build_config(
        PreferenceConfig, apply_sets({**named, "merge": merge, "targets": tuple(targets)}, settings)
    )
    options = SourceOptions(columns=parse_columns(columns), layout=layout, encoding=encoding)
    require_model(model)
    examples = read_preferences(
        Source(str(data), follow_links=follow_links), options, progress=progress
    )
    claim_folder(run, kind="preference", fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    card = card_of(run, "Prefers the answers that were chosen.", data, model, opened.license)
    told: dict[str, Any] = {"compute": compute, "progress": progress, "card": card}
    return fit_preference(opened, examples, run, config, **told, general=general)


def card_of(
    run: RunFolder, summary: str, data: AnyPath, model: AnyPath, license_id: str
) -> "ModelCard":
    """What the model card of a fine-tuned model can say before the training."""
    from groundup.weights.card import ModelCard

    sources = ((str(data), licence_of(str(data))),)
    return ModelCard(
        run.path.resolve().name, summary, data=sources, base=str(model), license=license_id
    )


@checked_arguments
def run_evaluation(
    models: AnyPath | Sequence[AnyPath],
    data: AnyPath = STARTER,
    *,
    kind: str | None = None,
    items: int = ITEMS,
    text_column: str = "",
    label_column: str = "",
    label_separator: str = "",
    columns: Mapping[str, str] | str = "",
    layout: str = "",
    question: str | None = None,
    encoding: str = "auto",
    follow_links: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure models on the same held-out data: each figure with its 95 % interval, in the form of
    `evaluate/comparison/run.py`.

    Items that one of the models was trained on, as far as its folder records that, are left out and
    counted.

    `kind` of the data: a name in `evaluate.comparison.run.KINDS`, as "answers" (instructions),
    "labels" or "text"; by default it is looked at.

    >>> results = groundup.run_evaluation("runs/mine", "my-texts", kind="text")
    >>> [row["metric"] for row in results["rows"]]
    ['bits_per_byte']
    """
    from groundup.data.preparation.trained_on import read_trained_on
    from groundup.data.reading.description import parse_columns
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions
    from groundup.device import select_compute
    from groundup.evaluate.comparison.run import evaluate_on, kind_of, task_kind
    from groundup.evaluate.task import HeldOut
    from groundup.weights.model_io import open_model

    names = distinct_names(models)
    source = Source(instructions_source(str(data)), follow_links=follow_links)
    options = SourceOptions(
        text_column,
        label_column=label_column,
        label_separator=label_separator,
        columns=parse_columns(columns),
        layout=layout,
        encoding=encoding,
    )
    measured = task_kind(kind) if kind else kind_of(source, options)
    compute, progress = select_compute(device), progress or Silent()
    opened = {
        name: open_model(name, compute, prefer=measured.prefer, progress=progress) for name in names
    }
    known = {
        name: found for name, model in opened.items() if (found := read_trained_on(model.path))
    }
    held_out = HeldOut(source, items, options, question, seed, known)
    return evaluate_on(measured, held_out, opened, compute=compute, progress=progress)


@checked_arguments
def run_suites(
    models: AnyPath | Sequence[AnyPath],
    tasks: str | Sequence[str] = "written",
    *,
    shots: Sequence[int] = (0,),
    items: int | None = None,
    template: Literal["auto", "plain", "chat"] = "auto",
    over: Literal["steps", "sizes", "shots"] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure language models on evaluation suites by name, in the form of
    `evaluate/comparison/run.py`; "written" stands for all packaged ones.

    "text" stands for the bits per byte of the held-out text of the first model's run. `shots`:
    numbers of worked examples before each item. `items`: at most so many of each suite. `over`:
    curves over the snapshots of runs, over the sizes of a sweep or of several models, or over the
    numbers of shots (`evaluate/comparison/emergence.py`). Raises ConfigError, DataError,
    ModelError.

    >>> results = groundup.run_suites("runs/mine", "grammar", items=100)
    >>> [row["metric"] for row in results["rows"]]
    ['accuracy']
    """
    from groundup.device import select_compute
    from groundup.evaluate.comparison.suite_evaluation import evaluate_suites
    from groundup.evaluate.suite import SuiteOptions

    names = [tasks] if isinstance(tasks, str) else tasks
    options = SuiteOptions(tuple(shots), items, template, seed)
    told: dict[str, Any] = {"compute": select_compute(device), "progress": progress or Silent()}
    return evaluate_suites(distinct_names(models), names, options, over, **told)


def distinct_names(models: AnyPath | Sequence[AnyPath]) -> list[str]:
    """Return the names of models. Raises ConfigError for one that is named twice."""
    names = [str(name) for name in ([models] if isinstance(models, str | Path) else models)]
    if len(set(names)) < len(names):
        raise ConfigError("A model is named twice.", fix="Name each once.")
    return names


@checked_arguments
def build(
    recipe: AnyPath = "quickstart",
    out: AnyPath | None = None,
    *,
    budget: str | None = None,
    seed: int | None = None,
    follow_links: bool = False,
    teach: bool = False,
    added: Sequence[str] = (),
    settings: Settings | None = None,
    redo: Sequence[str] | None = None,
    dry_run: bool = False,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Carry out a recipe (a name, a .toml file, a folder of texts, or a domain pack) into `out`, by
    default runs/NAME. Return what build.json holds.

    A folder of texts makes a model of these texts alone; `added`: "spam", "chat", what quickstart
    makes of a public model besides. `budget`: the wall time of the whole build, as "30m". `teach`:
    the public model reads the texts before it learns to chat. `redo` names stages that are done
    again. `dry_run`: give the plan and do nothing. `fixed_choices`: precision, threads and
    compilation follow rules instead of measurements; how much is done in the time is still
    measured.

    >>> plan = groundup.build("my-texts", budget="3m", dry_run=True)
    >>> [stage["stage"] for stage in plan["stages"]][:3]
    ['data', 'tokenizer', 'pretrain']
    """
    from groundup.device import select_compute
    from groundup.recipes.builds.build import build, forget
    from groundup.recipes.builds.pipeline import plan_build, stages_of
    from groundup.recipes.recipe import load_recipe

    loaded = load_recipe(
        str(recipe),
        settings,
        budget=budget,
        seed=seed,
        follow_links=follow_links,
        teach=teach,
        added=added,
    )
    if dry_run:
        return plan_build(loaded)
    if loaded.pack and progress:
        progress.say(
            f"{recipe} is a domain pack (docs/packs.md), not a folder of texts: {loaded.description}"
        )
    folder = RUNS / loaded.name if out is None else Path(out)
    compute, stages = select_compute(device, fixed_choices=fixed_choices), stages_of(loaded)
    forget(folder, redo or (), stages)
    return build(
        loaded, folder, stages, compute=compute, progress=progress or Silent(), fresh=fresh
    )
