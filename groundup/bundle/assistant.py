"""An assistant, or an index alone, as an app carries it: what `groundup serve` reads of it there.

    FOLDER/assistant/build.json, recipe.toml    of a build: its stages here, and its fixed texts
    FOLDER/assistant/INDEX/                     each index with its documents (retrieve.carried)
    FOLDER/assistant/ACTIONS/                   actions.toml and world.sql
    FOLDER/assistant/CHAT/                      the build's model, if it was asked for
    FOLDER/cache/models/NAME/                   the encoders of these indexes, if they have vectors;
                                                a tuned one without weights of its own
    FOLDER/encoders/NAME/                       one that was not pulled but is a folder

Not carried: what was done with the actions here (world.sqlite), questions for calibration, stages
that no answer is made with, and paths of this machine.
"""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from groundup.cache import stored_bytes
from groundup.errors import ConfigError
from groundup.files import disk_errors, sha256_file, write_manifest, write_text
from groundup.locks import hold
from groundup.packs.assistant_texts import AssistantTexts
from groundup.progress import Progress
from groundup.retrieve.assistant import ASSISTANT_TABLE, texts_of_build
from groundup.retrieve.assistant_actions import KIND as ACTIONS
from groundup.retrieve.carried import carried_files, carry_index, name_encoder
from groundup.retrieve.index import INDEX_FILE
from groundup.retrieve.index_folders import index_folders
from groundup.retrieve.second_reader import read_second
from groundup.retrieve.updated_vectors import is_here
from groundup.retrieve.vectors import base_encoder
from groundup.retrieve.vectors_info import encoder_alone, read_vectors_info
from groundup.runs import RECIPE_FILE, BuildResults, read_build
from groundup.serve.index_entries import example_questions
from groundup.serve.indexes import SUFFIX
from groundup.weights.catalog import CATALOG, untuned
from groundup.weights.find import find_model
from groundup.weights.hf import HF
from groundup.weights.model_format import ExportOptions, OpenModel
from groundup.weights.pulled import adapter_origin, pulled
from groundup.weights.safetensors_header import WEIGHTS_FILE

PLACE, CACHE, ENCODERS = "assistant", "cache", "encoders"
# Of a run that made an encoder: what no one needs who opens it.
LEFT_OUT = shutil.ignore_patterns("checkpoints", "snapshots", "data", "logs", ".tmp-*")


@dataclass(frozen=True)
class AssistantParts:
    """What an app of an assistant is made of."""

    source: Path
    """The build, or an index."""
    name: str
    is_index: bool
    indexes: tuple[Path, ...]
    documents: int
    """Files of documents that are copied."""
    encoders: tuple[str, ...]
    """Names or paths, of all indexes."""
    model: Path | None
    """Of a build, the folder of its model, if that is carried."""
    left_out_bytes: int
    """Of its model, if that is not."""
    actions: Path | None

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each kind of part that there is."""
        files = [file for folder in self.indexes for file in carried_files(folder)]
        found = {
            f"{self.documents} documents": sum(map(stored_bytes, files)),
            "their index": sum(map(stored_bytes, self.indexes)),
        }
        if self.encoders:
            names = ", ".join(Path(each).name for each in self.encoders)
            own = (each for each in self.encoders if untuned(each) == each)
            found[f"encoders ({names})"] = sum(map(stored_bytes, map(_place, own)))
        if self.model is not None:
            found["the model that can write"] = _model_bytes(self.model)
        return found


def assistant_parts(path: Path, *, with_model: bool = False) -> AssistantParts | None:
    """Return the parts of a build with an index, or of an index; None: it is neither. A build's
    model is one of them where it is asked for, or where its indexes have no encoder, over which an
    assistant is served otherwise.

    Raises ConfigError (documents changed since, an encoder that is not here, `with_model` where no
    model is), ModelError (a model is needed, and there is none), FormatError.
    """
    is_index, indexes = (path / INDEX_FILE).is_file(), tuple(index_folders(path))
    if is_index:
        indexes = (path,)
    if not indexes:
        return None
    if with_model and (is_index or encoder_alone(path)):
        raise ConfigError(
            f"{path} has no model that writes, so --with-model has nothing to carry.",
            fix="Leave it out: an assistant answers in quotations without one.",
        )
    encoders = dict.fromkeys(name for folder in indexes for name in _encoders_of(folder))
    model, left_out_bytes, actions = None, 0, None
    if not is_index:
        if not encoder_alone(path):
            model = find_model(path)
            if encoders and not with_model:
                left_out_bytes = _model_bytes(model)
                model = None
        stages = [path / stage for stage in read_build(path).of_kind(ACTIONS)]
        actions = next(filter(Path.is_dir, stages), None)
    return AssistantParts(
        source=path,
        name=path.resolve().name.removesuffix(SUFFIX),
        is_index=is_index,
        indexes=indexes,
        documents=sum(len(carried_files(folder)) for folder in indexes),
        encoders=tuple(encoders),
        model=model,
        left_out_bytes=left_out_bytes,
        actions=actions,
    )


def _model_bytes(folder: Path) -> int:
    return sum(stored_bytes(file) for file in folder.iterdir() if file.is_file())


def _encoders_of(index: Path) -> list[str]:
    """Return the encoders that an index is searched and read with. Raises ConfigError."""
    known = read_vectors_info(index)
    if known is None:
        return []
    found = [known.model, base_encoder(known.model)]
    for name in found:
        if not is_here(name):
            raise ConfigError(
                f"{name}, which made the vectors of {index}, is not on this machine.",
                fix=f"Fetch it: groundup pull {name}",
            )
    second = read_second(index)
    if second and is_here(second):
        found.append(second)
    return found


def _place(encoder: str) -> Path:
    """Return the folder of an encoder, of a tuned one that of what it is tuned from."""
    if encoder in CATALOG:
        found = pulled(untuned(encoder))
        assert found is not None, encoder
        return found
    return find_model(encoder)


def carry(parts: AssistantParts, folder: Path, opened: OpenModel | None, progress: Progress) -> str:
    """Write the parts into the folder of an app, with the build's model, `opened`, if that is carried;
    return the name of what is served there. Raises FormatError, DiskError, ConfigError.
    """
    place = folder / PLACE
    if parts.is_index:
        carry_index(parts.source, place)
        copies = [place]
    else:
        copies = [place / index.name for index in parts.indexes]
        _carry_build(parts, place, opened)
    for encoder in parts.encoders:
        progress.say(f"Copying {Path(encoder).name} ...")
        _copy_encoder(encoder, folder)
    for copy in copies:
        known = read_vectors_info(copy)
        if known is not None and known.model not in CATALOG:
            name_encoder(copy, f"{ENCODERS}/{Path(known.model).name}")
    return PLACE


def _copy_encoder(encoder: str, folder: Path) -> None:
    """A tuned one without weights: it is opened as what it is tuned from, with the adapter of the
    package (`weights/tuned.py`).
    """
    target = folder / ENCODERS / Path(encoder).name
    if encoder in CATALOG:
        target = folder / CACHE / "models" / encoder
        hold(_place(encoder))
    left_out, is_tuned = LEFT_OUT, untuned(encoder) != encoder
    if is_tuned:
        left_out = shutil.ignore_patterns(WEIGHTS_FILE)
    with disk_errors(target):
        shutil.copytree(_place(encoder), target, ignore=left_out)
    if is_tuned:
        write_manifest(target, extra={"pulled": encoder, "from": adapter_origin(encoder)})


def _carry_build(parts: AssistantParts, place: Path, opened: OpenModel | None) -> None:
    build, kinds = read_build(parts.source), dict[str, str]()
    place.mkdir()
    for index in parts.indexes:
        carry_index(index, place / index.name)
        kinds[index.name] = build.kinds[index.name]
    if parts.actions is not None:
        with disk_errors(place):
            shutil.copytree(parts.actions, place / parts.actions.name)
        kinds[parts.actions.name] = ACTIONS
    if parts.model is not None:
        assert opened is not None
        HF.write(opened, place / parts.model.name, ExportOptions(HF.default_quantization))
        kinds[parts.model.name] = build.kinds[parts.model.name]
    texts = texts_of_build(parts.source)
    if not texts.questions:
        texts = replace(texts, questions=tuple(example_questions(parts.source)))
    _write_recipe(place, build, texts)
    made = BuildResults(
        groundup=build.groundup,
        created=build.created,
        recipe=build.recipe,
        description=build.description,
        kinds=kinds,
        recipe_sha256=sha256_file(place / RECIPE_FILE),
    )
    made.write(place)


def _write_recipe(place: Path, build: BuildResults, texts: AssistantTexts) -> None:
    """Write the recipe's fixed texts; what else it has are paths and settings of the build."""
    table: dict[str, Any] = {"name": build.recipe, "description": build.description}
    table[ASSISTANT_TABLE] = asdict(texts)
    write_text(place / RECIPE_FILE, tomli_w.dumps(table))
