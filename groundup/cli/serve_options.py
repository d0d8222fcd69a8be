"""Options of `groundup serve` and what they open: who may use it (AccessOptions), what it keeps of
readers' words (KeptOptions), and what it serves of a build: its index, its assistant with its
actions, its other models, each by a name.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from groundup.cli.options import ActionOptions, ListenOptions, file_to_write, folder_to_write
from groundup.errors import ConfigError
from groundup.progress import Progress

if TYPE_CHECKING:
    from groundup.device import Compute
    from groundup.engine.precision import PrecisionChoice
    from groundup.http.access import Access
    from groundup.serve.indexes import ServedIndexes
    from groundup.serve.server import ModelServer


# What a build's models of other kinds are called.
TAGS = {"own": "pretrain", "original": "base"}


@dataclass(frozen=True)
class AccessOptions(ListenOptions):
    """Address of the server, and access to it, of pages too."""

    origins: Annotated[
        list[str] | None,
        Option(
            "--cors",
            metavar="ORIGIN",
            help="Allow web pages of https://example.org, or app:// (again for more).",
        ),
    ] = None
    public_keys: Annotated[
        list[str] | None,
        Option(
            "--public-key",
            metavar="ASSISTANT",
            help="Let pages of --cors embed an assistant, or ASSISTANT=KEY (again for more).",
        ),
    ] = None
    keys: Annotated[
        Path | None,
        Option("--keys", help="A file of more keys, each for some models, indexes, assistants."),
    ] = None
    hosts: Annotated[
        list[str] | None,
        Option("--server-name", metavar="NAME", help="A host name of this server, behind a proxy."),
    ] = None
    proxies: Annotated[
        list[str] | None,
        Option("--proxy", metavar="ADDRESS", help="A proxy whose X-Forwarded-For is believed."),
    ] = None


def access_of(listen: AccessOptions) -> tuple["Access", dict[str, str]]:
    """Return the access rules, and assistant -> key of each --public-key.

    Raises ConfigError, FormatError.
    """
    from groundup.http.access import access_for
    from groundup.http.keys import public_key_of, public_keys, read_keys

    public = public_keys(listen.public_keys or (), listen.api_key or "")
    keys = [public_key_of(assistant, key) for assistant, key in public.items()]
    if listen.keys is not None:
        keys += read_keys(listen.keys)
    if listen.hosts and not listen.api_key and not listen.is_open:
        raise ConfigError(
            "--server-name lets other machines in through a proxy, and no key was given.",
            fix="Give --api-key (or GROUNDUP_API_KEY), or --open to accept every client.",
        )
    access = access_for(
        listen.host,
        api_key=listen.api_key,
        is_open=listen.is_open,
        hosts=listen.hosts or (),
        origins=listen.origins,
        local_pages=True,
        keys=keys,
    )
    return access, public


def script_tags(
    listen: AccessOptions, address: str, public: Mapping[str, str], languages: Mapping[str, str]
) -> str:
    """Return the tags for the pages of sites, of assistant -> key, each with the language that its
    pack says; behind a proxy with its name.
    """
    for name in (listen.hosts or ())[:1]:
        address = f"https://{name}"
    said = {name: f' data-language="{code}"' for name, code in languages.items() if code}
    data = (
        f'data-assistant="{name}" data-key="{key}"{said.get(name, "")}'
        for name, key in public.items()
    )
    tags = [f'<script src="{address}/embed.js" {each} async></script>' for each in data]
    return "\n                   ".join(tags)


@dataclass(frozen=True)
class KeptOptions:
    """What is kept of readers' words; the page says it."""

    feedback: Annotated[
        Path | None,
        Option(
            "--feedback",
            metavar="FILE",
            callback=file_to_write,
            help="Keep readers' ratings, and questions that found no answer, in FILE "
            "(JSON lines; personal data masked); the page says so.",
            show_default="nothing is kept",
        ),
    ] = None
    transcripts: Annotated[
        Path | None,
        Option(
            "--transcripts",
            metavar="FOLDER",
            callback=folder_to_write,
            help="Keep conversations with assistants in FOLDER (personal data masked; each can be "
            "deleted); the page says so.",
            show_default="none is kept",
        ),
    ] = None
    transcript_days: Annotated[
        int, Option("--transcript-days", min=1, max=3650, help="Days that they are kept.")
    ] = 30


def open_kept(server: "ModelServer", options: KeptOptions, progress: Progress) -> None:
    """Let a server keep it. Raises ConfigError without an index, whose answers could be rated;
    DiskError where it can't be written.
    """
    given = {"--feedback": options.feedback, "--transcripts": options.transcripts}
    for name, path in given.items():
        if path is not None and not server.indexes.names:
            fix = "Serve a build with an index, or name one: --index INDEX"
            raise ConfigError(f"{name}: no documents are served, so nothing is asked.", fix=fix)
    if options.feedback is not None:
        from groundup.packs.feedback import FeedbackFile
        from groundup.serve.feedback import FeedbackRecorder

        server.feedback = FeedbackRecorder(FeedbackFile(options.feedback))
        progress.say(f"Ratings, and questions without an answer, are kept in {options.feedback}.")
    if options.transcripts is not None:
        from groundup.serve.transcripts import TranscriptStore

        server.transcripts = TranscriptStore(options.transcripts, options.transcript_days)
        days = f"{options.transcript_days} days"
        progress.say(f"Conversations are kept in {options.transcripts} for {days}.")


def header_name(given: str) -> str:
    """Return the name of a header; "": none. Raises ConfigError for what can't be one.

    >>> header_name("X-Customer")
    'X-Customer'
    """
    if given and not given.replace("-", "").isalnum():
        fix = "Write its name alone: --customer-header X-Customer"
        raise ConfigError(f"--customer-header {given[:60]!r} is no name of a header.", fix=fix)
    return given


def name_and_path(given: str) -> tuple[str, str]:
    """Return the name and path of NAME=PATH, or of a path (or a catalog's name), whose last part is
    the name.

    >>> name_and_path("my=runs/x/chat"), name_and_path("runs/x")
    (('my', 'runs/x/chat'), ('x', 'runs/x'))
    """
    from groundup.files import safe_name
    from groundup.serve.model_registry import default_name

    name, equals, path = given.partition("=")
    if equals and not os.path.exists(given):
        return safe_name(name), path
    return default_name(Path(given)), given


def indexes_of_builds(models: Sequence[str]) -> list[str]:
    """Of the builds among the models, as NAME=PATH: a build's only one has the build's name. Raises
    FormatError.
    """
    from groundup.retrieve.index_folders import index_folders

    found: list[str] = []
    for name, path in map(name_and_path, models):
        folders = index_folders(Path(path))
        if len(folders) == 1:
            found.append(f"{name}={folders[0]}")
        else:
            found += [f"{name}-{folder.name}={folder}" for folder in folders]
    return found


def without_indexes(models: Sequence[str]) -> tuple[list[str], list[str]]:
    """What of the arguments is a model, and what an index of documents."""
    from groundup.retrieve.index_folders import INDEX_FILE

    indexes = [each for each in models if (Path(name_and_path(each)[1]) / INDEX_FILE).is_file()]
    return [each for each in models if each not in indexes], indexes


def assistants_of(models: Sequence[str], indexes: Sequence[str]) -> dict[str, str]:
    """Build -> its (first) index; `indexes`: as NAME=PATH."""
    found: dict[str, str] = {}
    for name, path in map(name_and_path, models):
        for index, folder in map(name_and_path, indexes):
            if Path(folder).parent == Path(path):
                found.setdefault(name, index)
    return found


def models_of(name: str, path: str, progress: Progress, *, is_assistant: bool) -> dict[str, Path]:
    """What is served of NAME=PATH: a model; of a build its chat model or the like, as NAME:chat
    where NAME is its assistant, or as NAME:encoder that of its index where it has no model that
    writes; and its other models. Raises ModelError, FormatError, NetworkError.
    """
    from groundup.serve.model_registry import ENCODER, base_name
    from groundup.weights.find import find_model

    encoder, own = "", name
    if is_assistant:
        from groundup.retrieve.vectors_info import encoder_alone

        encoder, own = encoder_alone(Path(path)), base_name(name)
    if encoder:
        own = base_name(name, ENCODER)
    served = find_model(encoder or path, progress=progress, hashes=False)
    return {own: served, **_others_of_build(name, path, served)}


def _others_of_build(name: str, path: str, served: Path) -> dict[str, Path]:
    """The models of a build beside the one that is served as NAME: its classifiers as NAME-STAGE,
    the one that it trained itself as NAME:own, the public one that it began with as NAME:original;
    {} for anything else. Raises FormatError.
    """
    from groundup.weights.find import stages_with_model

    build = Path(path)
    found = {f"{name}-{stage.name}": stage for stage in stages_with_model(build, "classifier")}
    for tag, kind in TAGS.items():
        others = [stage for stage in stages_with_model(build, kind) if stage != served]
        found |= {f"{name}:{tag}": stage for stage in others[:1]}
    return found


def open_desks(
    indexes: "ServedIndexes",
    models: Sequence[str],
    assistants: Mapping[str, str],
    actions: ActionOptions,
    *,
    trial: bool,
) -> list[str]:
    """Open the actions of the builds among the models; `trial`: also for trial customers. Return
    what to say of those. Raises ConfigError, FormatError.
    """
    if not assistants:
        return []
    from groundup.retrieve.assistant import texts_of_build
    from groundup.retrieve.assistant_actions import desk_of_build

    notes = []
    for name, path in map(name_and_path, models):
        desk = None
        if name in assistants:
            language = texts_of_build(Path(path)).language
            desk = desk_of_build(Path(path), **actions.given(), trial=trial, language=language)
        if desk is None:
            continue
        indexes.desks[assistants[name]] = desk
        if desk.trial_customer:
            what = f"nobody is signed in, and who asks is its trial customer {desk.trial_customer}"
            notes.append(f"{name}: {what} (for people: --no-trial, or --customer-header NAME)")
    return notes


def chosen_compute(device: str) -> "Compute":
    """With the number of threads that is fastest now. Raises ConfigError."""
    from groundup.device import choose_threads, select_compute

    compute = select_compute(device)
    choose_threads(compute)
    return compute


def chosen_precision(text: str | None) -> "PrecisionChoice | None":
    """Raises ConfigError."""
    if text == "int8":
        return "int8"  # known without torch
    if text is None:
        return None
    from groundup.engine.precision import as_precision_choice

    return as_precision_choice(text)
