"""Which models there are, by the names that clients use. A name is looked up in a table and never becomes a path.

    the models given to `groundup serve`           each by the name of its folder or file, or NAME=PATH
    a models folder                                 every model right in it; looked through again at each question
    names that clients made (`copy`, `create`)      a second name of one of these, with texts and parameters of its own

Names of the third kind are kept in `names.json` of the models folder, and without one as long as the server runs. `delete` takes a name away, of the
first two kinds until the server starts again: no client removes weights.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError, GroundupError
from groundup.files import inside, read_json, safe_name, write_json
from groundup.serve.model_info import ModelInfo, read_model_info
from groundup.serve.requests import Options, RequestError, no_such_model
from groundup.tokenizer.chat import Message
from groundup.weights.formats import file_suffixes

NAMES_FILE = "names.json"
MAX_NAMES = 256
LATEST = "latest"
_FIX = "Mend it, or delete it: names that clients made are lost then."


@dataclass(frozen=True)
class ModelAlias:
    """A name, the model it means, and what holds where a request says nothing."""

    name: str
    """With its tag."""
    base: str
    """The name of the model itself, with its tag; for its own name the same."""
    system: str = ""
    messages: tuple[Message, ...] = ()
    options: Options = field(default_factory=Options)
    license: str = ""
    created: str = ""
    """When a client made it (RFC 3339)."""

    @property
    def is_own(self) -> bool:
        """Is it the model's own name?"""
        return self.name == self.base


def full_name(name: str) -> str:
    """With the tag that is meant where there is none. Raises FormatError for what can't be a name.

    >>> whole_name("tiny"), whole_name("tiny:q4")
    ('tiny:latest', 'tiny:q4')
    """
    first, colon, tag = name.partition(":")
    return f"{safe_name(first)}:{safe_name(tag) if colon else LATEST}"


class ModelRegistry:
    """The table. Reads files, so it is used outside of the event loop, by several threads at once."""

    def __init__(self, models: Mapping[str, Path], folder: Path | None = None) -> None:
        """`models`: name -> path. Raises ModelError, FormatError for one that is none, ConfigError for a name that can't be one."""
        self.folder = folder
        self._facts: dict[str, ModelInfo] = {full_name(name): read_model_info(path) for name, path in models.items()}
        self._made: dict[str, ModelAlias] = {}
        self._hidden: set[str] = set()
        self._lock = threading.RLock()
        self._look()
        if folder is not None and (folder / NAMES_FILE).exists():
            self._made = _read_names(folder / NAMES_FILE)

    def listed(self) -> list[ModelAlias]:
        """Every name whose model is there, in alphabetical order."""
        with self._lock:
            self._look()
            own = [
                ModelAlias(name, name) for name in self._facts if name not in self._hidden and name not in self._made
            ]
            return sorted(
                [*own, *(made for made in self._made.values() if made.base in self._facts)], key=lambda n: n.name
            )

    def find(self, name: str) -> ModelAlias:
        """What a client's name means. Raises RequestError, 404."""
        with self._lock:
            try:
                whole = full_name(name)
            except FormatError:
                raise no_such_model(name) from None
            if whole not in self._facts:
                self._look()
            found = self._made.get(whole) or (ModelAlias(whole, whole) if whole not in self._hidden else None)
            if found is None or found.base not in self._facts:
                raise no_such_model(name)
            return found

    def facts(self, named: ModelAlias) -> ModelInfo:
        """What is known of its model."""
        return self._facts[named.base]

    def copy(self, source: str, destination: str) -> None:
        """A second name. Raises RequestError: 404 for an unknown source, 400 for what can't be a name."""
        with self._lock:
            found = self.find(source)
            self._put(ModelAlias(**{**_values(found), "name": _new_name(destination), "created": _now()}))

    def create(self, name: str, source: str, said: Mapping[str, Any]) -> None:
        """A second name with texts and parameters of its own; `said` has fields of Named, others are the source's. Raises RequestError."""
        with self._lock:
            found = self.find(source)
            values = _values(found) | {key: value for key, value in said.items() if value}
            options = said.get("options", Options()).over(found.options)
            self._put(ModelAlias(**{**values, "options": options, "name": _new_name(name), "created": _now()}))

    def delete(self, name: str) -> None:
        """Take a name away; the model stays where it is. Raises RequestError, 404."""
        with self._lock:
            found = self.find(name)
            if self._made.pop(found.name, None) is None:
                self._hidden.add(found.name)
            self._save()

    def _put(self, named: ModelAlias) -> None:
        if named.name in self._facts:
            raise RequestError("this name is a model's own; choose another one", param="destination")
        if len(self._made) >= MAX_NAMES and named.name not in self._made:
            raise RequestError(f"there are {MAX_NAMES} made names already; delete one first")
        self._made[named.name] = named
        self._save()

    def _save(self) -> None:
        if self.folder is not None:
            write_json(self.folder / NAMES_FILE, [asdict(named) for named in self._made.values()])

    def _look(self) -> None:
        """Take up what is new in the models folder; what is no model, or half-written, is passed over."""
        for entry in sorted(self.folder.iterdir()) if self.folder is not None else ():
            name = f"{default_name(entry)}:{LATEST}"
            if (
                name in self._facts
                or entry.name.startswith(".")
                or not (entry.is_dir() or entry.suffix in file_suffixes())
            ):
                continue
            try:
                self._facts[name] = read_model_info(inside(self.folder, entry.name))  # type: ignore[arg-type]
            except GroundupError:
                continue


def default_name(path: Path) -> str:
    """The name of a model by its path: of its folder or file, with what can't stand in a name as "-".

    >>> usual_name(Path("runs/my model.gguf"))
    'my-model'
    """
    stem = path.stem if path.suffix in file_suffixes() else path.resolve().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100] or "model"


def _new_name(name: str) -> str:
    try:
        return full_name(name)
    except FormatError as error:
        raise RequestError(error.message[:300], param="model") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _values(named: ModelAlias) -> dict[str, Any]:
    return {each.name: getattr(named, each.name) for each in fields(named)}


def _read_names(file: Path) -> dict[str, ModelAlias]:
    """The names that clients made. Raises FormatError."""
    content = read_json(file)
    entries = content if isinstance(content, list) and all(isinstance(entry, dict) for entry in content) else None
    if entries is None or len(entries) > MAX_NAMES:
        raise FormatError(file, "names", f"are no list of at most {MAX_NAMES} tables", fix=_FIX)
    try:
        made = [build_config(ModelAlias, entry) for entry in entries]
    except ConfigError as error:
        raise FormatError(file, "names", error.message, fix=_FIX) from error
    return {full_name(named.name): named for named in made}
