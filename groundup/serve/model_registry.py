"""The model registry: client-visible names -> models, and facts about them from their files'
headers, without loading weights.

A name is only looked up in a table and never becomes a path. Names are case-insensitive, as in
Ollama, except where two models of a folder differ in case only.

    the models given to `groundup serve`           each by the name of its folder or file, or
                                                   NAME=PATH
    a models folder                                 every model directly in it; scanned again at
                                                    each lookup
    aliases made by clients (`copy`, `create`)      another name of one of these, with its own texts
                                                    and parameters

Aliases are stored in `names.json` of the models folder; without a folder they last as long as the
server runs. `delete` removes an alias, and hides a name of the first two kinds until the server
restarts: no client can remove weights.
"""

import contextlib
import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError, GroundupError
from groundup.files import MANIFEST, inside, read_json, safe_name, sha256_file, write_json
from groundup.model.config import ModelConfig
from groundup.model.sizes import parameter_count
from groundup.serve.requests import Options, RequestError, no_such_model
from groundup.serve.tool_prompt import ToolSetting, ToolSupport, tool_support
from groundup.tokenizer.chat import Message
from groundup.tokenizer.tools import call_format
from groundup.weights.find import find_model
from groundup.weights.hf_families import ModelKind
from groundup.weights.hf_files import folder_summary, folder_texts, is_whole_folder
from groundup.weights.model_format import ModelSummary, ModelTexts
from groundup.weights.verify import is_adapter

if TYPE_CHECKING:
    from groundup.engine.precision import PrecisionChoice


@dataclass(frozen=True)
class ModelInfo:
    """One model on this machine."""

    path: Path
    """Its location on disk; never sent to a client."""
    config: ModelConfig
    kind: ModelKind
    labels: tuple[str, ...]
    format: str
    """"safetensors" or "gguf"."""
    stored_as: str
    """The storage type of most of its weights: "F32", "Q8_0"."""
    size_bytes: int
    modified: datetime
    digest: str
    """64 hexadecimal digits that change when the model does, or how it calls tools."""
    parameters: int
    license: str
    tools: ToolSupport
    """How it calls tools."""
    chats: bool
    """Whether it is a chat model; a base model only continues texts."""
    base: Path | None = None
    """Of an adapter, the model whose weights it changes."""
    is_assistant: bool = False
    """Whether it is served as an assistant, which answers from documents (`assistants.py`)."""

    @property
    def use(self) -> Literal["assistant", "chat", "base", "classifier", "encoder"]:
        """What it is for: its kind, of a language model whether it chats."""
        if self.is_assistant:
            return "assistant"
        if self.kind != "language":
            return self.kind
        return "chat" if self.chats else "base"

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The requests that it can serve."""
        if self.is_assistant:
            return ("completion",)
        if self.kind == "classifier":
            return ("classification",)
        if self.kind == "encoder":
            return ("embedding",)
        if self.tools in ("template", "general"):
            return ("completion", "embedding", "tools")
        return ("completion", "embedding")


def read_model_info(
    name_or_path: str | Path, base: Path | None = None, tools: ToolSetting = "forced"
) -> ModelInfo:
    """Return the facts about a model, of an adapter with `base` or the one that it names.

    Raises ModelError (missing or incomplete) and FormatError (damaged).
    """
    path = find_model(name_or_path)
    summary, texts, storage, base = _described(path, base)
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
    support = tool_support(
        tools, has_template=call_format(texts.chat_template) is not None, chats=texts.chats
    )
    return ModelInfo(
        path=path,
        config=summary.config,
        kind=summary.kind,
        labels=summary.labels,
        format=storage,
        stored_as=max(summary.stored, key=lambda storage: summary.stored[storage], default=""),
        size_bytes=sum(summary.stored.values()),
        modified=datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC),
        digest=_digest_with(_digest(path, files), support),
        parameters=parameter_count(summary.config, num_labels=len(summary.labels)).total,
        license=texts.license,
        tools=support,
        chats=texts.chats,
        base=base,
    )


def _described(path: Path, base: Path | None) -> tuple[ModelSummary, ModelTexts, str, Path | None]:
    """What its files say, how it is stored, and an adapter's base; of a folder without torch."""
    if is_whole_folder(path):
        return folder_summary(path), folder_texts(path), "safetensors", None
    from groundup.weights.adapter import adapter_reader, base_path
    from groundup.weights.formats import reader_of
    from groundup.weights.model_io import read_model_summary

    if path.is_dir() and is_adapter(path):
        base = base or base_path(path)
        reader = adapter_reader(base)
        return reader.summary(path), reader.texts(path), reader.storage, base
    reader = reader_of(path)
    return read_model_summary(str(path)), reader.texts(path), reader.storage, None


def _digest(path: Path, files: list[Path]) -> str:
    """Return the hash of its manifest (which holds those of all files), else of names, sizes and
    times, as hashing weights takes long.
    """
    if (path / MANIFEST).is_file():
        return sha256_file(path / MANIFEST)
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()


def _digest_with(digest: str, abilities: str) -> str:
    """Return a digest that changes with the abilities too: clients keep what a model can do by its
    digest.
    """
    return hashlib.sha256(f"{digest} {abilities}".encode()).hexdigest()


def determinism_note(precision: "PrecisionChoice", *, reproducible: bool) -> str:
    """Return one sentence, for the log and /api/show, on whether an answer depends on concurrent
    requests.

    >>> determinism_note("bf16", reproducible=False)
    'Precision bf16: an answer may differ with concurrent requests; --reproducible makes it the
    same.'
    """
    same = "is the same alone and among others"
    if reproducible:
        return (
            f"Precision {precision}, reproducible: "
            f"with a seed, or at temperature 0, an answer {same}."
        )
    if precision == "float32":
        # 51,200 draws from the logits of 512 positions of SmolLM2, computed alone and among 32:
        # none differed (docs/serving.md).
        return (
            f"Precision float32: with a seed, or at temperature 0, an answer {same}, "
            "except where two tokens differ by no more than float32 rounding "
            "(in 51,200 measured draws: none); --reproducible excludes that, too."
        )
    if precision == "int8":
        return (
            "Precision int8: with a seed, or at temperature 0, an answer by the compiled step "
            f"{same}, to the last bit; one by torch (adapters, other architectures, "
            "without numba) may differ, and --reproducible makes it the same."
        )
    return (
        f"Precision {precision}: an answer may differ with concurrent requests; "
        "--reproducible makes it the same."
    )


NAMES_FILE = "names.json"
MAX_NAMES = 256
LATEST, CHAT, ENCODER = "latest", "chat", "encoder"
_FIX = "Correct it, or delete it; the names that clients made are then lost."


@dataclass(frozen=True)
class ModelAlias:
    """A name, the model that it stands for, and defaults for its requests."""

    name: str
    """The name, with its tag."""
    base: str
    """The model's own name, with its tag; equal to `name` for an own name."""
    system: str = ""
    messages: tuple[Message, ...] = ()
    options: Options = field(default_factory=Options)
    license: str = ""
    template: str = ""
    """A chat template in place of the model's; "": its own."""
    created: str = ""
    """When a client created it (RFC 3339)."""
    assistant: str = ""
    """The index that it always answers from, as an assistant; "": it is the model alone."""


@dataclass(frozen=True)
class AliasChanges:
    """What a new alias has in place of its source's; empty: as there."""

    system: str = ""
    messages: tuple[Message, ...] = ()
    options: Options = field(default_factory=Options)
    license: str = ""
    template: str = ""


def full_name(name: str) -> str:
    """Return the name with a tag, by default "latest". Raises FormatError for an invalid name.

    >>> full_name("tiny"), full_name("tiny:q4")
    ('tiny:latest', 'tiny:q4')
    """
    if ":" not in name:
        name = f"{name}:{LATEST}"
    first, _, tag = name.partition(":")
    return f"{safe_name(first)}:{safe_name(tag)}"


def base_name(assistant: str, tag: str = CHAT) -> str:
    """Return what an assistant's model is called ("bank:chat"), or its encoder without one."""
    return f"{full_name(assistant).partition(':')[0]}:{tag}"


class ModelRegistry:
    """The table of names.

    It reads files, so it is used outside of the event loop, by several threads at once.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        folder: Path | None = None,
        bases: Mapping[str, Path] | None = None,
        tools: ToolSetting = "forced",
        assistants: Mapping[str, str] | None = None,
    ) -> None:
        """`models`: name -> path; `bases`: name of an adapter -> its base; `tools`: which models
        get tools; `assistants`: name -> index, each over a model called by `base_name`.

        Raises ModelError or FormatError for an unusable model, ConfigError for an invalid name.
        """
        self.folder, self.tools, bases = folder, tools, bases or {}
        self._info: dict[str, ModelInfo] = {
            full_name(name): read_model_info(path, bases.get(name), tools)
            for name, path in models.items()
        }
        self._assistants = {
            full_name(name): ModelAlias(full_name(name), self._base_of(name), assistant=index)
            for name, index in (assistants or {}).items()
        }
        self._aliases: dict[str, ModelAlias] = {}
        self._hidden: set[str] = set()
        self._lock = threading.RLock()
        self._scan_folder()
        if folder is not None and (folder / NAMES_FILE).exists():
            self._aliases = _read_names(folder / NAMES_FILE)

    def aliases(self) -> list[ModelAlias]:
        """Return every name whose model exists, in alphabetical order; of one with several tags
        "latest" first.
        """
        with self._lock:
            self._scan_folder()
            found = {name: self._own(name) for name in self._own_names()}
            found |= self._aliases
            names = sorted(found, key=lambda name: name.removesuffix(LATEST))
            there = (found[name] for name in names if found[name].base in self._info)
            return [each for each in there if self.shows(each)]

    def shows(self, alias: ModelAlias) -> bool:
        """Whether clients may use a model; `LimitedRegistry` shows some alone."""
        return True

    def paths(self) -> list[Path]:
        """Return where the models lie."""
        return [info.path for info in self._info.values()]

    def find(self, name: str) -> ModelAlias:
        """Return the alias that a client's name stands for. Raises RequestError (404)."""
        with self._lock:
            try:
                full = full_name(name)
            except FormatError:
                raise self._unknown(name) from None
            if full not in self._info:
                self._scan_folder()
            full = self._as_known(full)
            found = self._aliases.get(full) or self._own(full)
            is_hidden = full in self._hidden and full not in self._aliases
            if is_hidden or found.base not in self._info or not self.shows(found):
                raise self._unknown(name)
            return found

    def default(self) -> ModelAlias | None:
        """Return the first chat model, in the order in which they were given, of a build its
        assistant; None: there is none.
        """
        with self._lock:
            self._scan_folder()
            over = {each.base: name for name, each in self._assistants.items()}
            for base, info in self._info.items():
                for name in filter(None, (over.get(base), base)):
                    own = self._own(name)
                    chats = info.use == "chat" or (own.assistant and info.kind == "encoder")
                    if chats and name not in self._hidden and self.shows(own):
                        return self.find(name)
            return None

    def _base_of(self, assistant: str) -> str:
        found = base_name(assistant, ENCODER)
        if found in self._info:
            return found
        return base_name(assistant)

    def _own(self, name: str) -> ModelAlias:
        """Return what a name stands for that no client made."""
        return self._assistants.get(name) or ModelAlias(name, name)

    def _own_names(self) -> set[str]:
        return {*self._info, *self._assistants} - self._hidden

    def _unknown(self, name: str) -> RequestError:
        return no_such_model(name, [each.name for each in self.aliases()])

    def _as_known(self, name: str) -> str:
        """Return `name` if it is known, else the known name that differs in case only, else
        `name`.
        """
        known = [*self._aliases, *sorted(self._own_names())]
        if name in known:
            return name
        return next((each for each in known if each.lower() == name.lower()), name)

    def info(self, alias: ModelAlias) -> ModelInfo:
        """Return the facts about the alias's model, with the alias's chat template where it has
        one.
        """
        info = self._info[alias.base]
        if alias.assistant:
            return replace(info, is_assistant=True, tools="none")
        if not alias.template or info.kind != "language":
            return info
        has_tools = call_format(alias.template) is not None
        support = tool_support(self.tools, has_template=has_tools, chats=True)
        return replace(
            info,
            chats=True,
            tools=support,
            digest=_digest_with(info.digest, support + alias.template),
        )

    def copy(self, source: str, destination: str) -> None:
        """Add an alias. Raises RequestError: 404 for an unknown source, 400 for an invalid name."""
        with self._lock:
            self._put(replace(self.find(source), name=_new_name(destination), created=_now()))

    def create(self, name: str, source: str, changes: AliasChanges) -> None:
        """Add an alias with its own texts and parameters. Raises RequestError."""
        with self._lock:
            found = self.find(source)
            alias = replace(
                found,
                name=_new_name(name),
                created=_now(),
                system=changes.system or found.system,
                messages=changes.messages or found.messages,
                options=changes.options.over(found.options),
                license=changes.license or found.license,
                template=changes.template or found.template,
            )
            self._put(alias)

    def delete(self, name: str) -> None:
        """Remove an alias, or hide a model's own name. Raises RequestError (404)."""
        with self._lock:
            found = self.find(name)
            if self._aliases.pop(found.name, None) is None:
                self._hidden.add(found.name)
            self._save()

    def _put(self, alias: ModelAlias) -> None:
        alias = replace(alias, name=self._as_known(alias.name))
        if alias.name in self._info or alias.name in self._assistants:
            raise RequestError("this is the name of a model; choose another one", param="model")
        if len(self._aliases) >= MAX_NAMES and alias.name not in self._aliases:
            raise RequestError(f"clients have made {MAX_NAMES} names already; delete one first")
        self._aliases[alias.name] = alias
        self._save()

    def _save(self) -> None:
        if self.folder is not None:
            write_json(
                self.folder / NAMES_FILE, [asdict(alias) for alias in self._aliases.values()]
            )

    def _scan_folder(self) -> None:
        """Add new models of the models folder; entries that are not complete models are skipped."""
        if self.folder is None:
            return
        for entry in sorted(self.folder.iterdir()):
            name = f"{default_name(entry)}:{LATEST}"
            is_model = entry.is_dir() or _is_model_file(entry)
            if name in self._info or entry.name.startswith(".") or not is_model:
                continue
            with contextlib.suppress(GroundupError):
                file = inside(self.folder, entry.name)
                self._info[name] = read_model_info(file, tools=self.tools)


def _is_model_file(path: Path) -> bool:
    """By its suffix."""
    if path.suffix in ("", ".json"):  # without torch
        return False
    from groundup.weights.formats import file_suffixes

    return path.suffix in file_suffixes()


def default_name(path: Path) -> str:
    """Return the name of a model from its path: that of its folder or file, with invalid characters
    replaced by "-".

    >>> default_name(Path("runs/my model.gguf"))
    'my-model'
    """
    stem = path.resolve().name
    if not path.is_dir() and _is_model_file(path):
        stem = path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100] or "model"


def _new_name(name: str) -> str:
    try:
        return full_name(name)
    except FormatError as error:
        raise RequestError(error.message[:300], param="model") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read_names(file: Path) -> dict[str, ModelAlias]:
    """Read the aliases that clients made. Raises FormatError."""
    entries = read_json(file)
    is_table = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    if not is_table or len(entries) > MAX_NAMES:
        raise FormatError(file, "names", f"are not a list of at most {MAX_NAMES} tables", fix=_FIX)
    try:
        aliases = [build_config(ModelAlias, entry) for entry in entries]
    except ConfigError as error:
        raise FormatError(file, "names", error.message, fix=_FIX) from error
    return {full_name(alias.name): alias for alias in aliases}
