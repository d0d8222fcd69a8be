"""`groundup serve`: models on a socket, where Ollama's, OpenAI's and LangChain's clients work with another address and nothing else changed."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundup.cli.console import console_progress
from groundup.cli.options import DeviceOption, JsonOption, ListenOptions, PrecisionOption, grouped
from groundup.errors import ConfigError, require_extra
from groundup.progress import Progress

if TYPE_CHECKING:
    from groundup.engine.batch import BatchSettings
    from groundup.http.limits import Limits
    from groundup.serve.loaded_models import ComputeSettings
    from groundup.serve.model_registry import ModelRegistry
    from groundup.serve.server import Server

# Ollama's own: its clients then find us with no setting at all. Where Ollama runs too, the refusal says so, and --port is the way out.
PORT = 11434
MEMORY_SHARE = 0.7
CLASSIFIER_STAGE = "spam"
# Answers still at work when the server is asked to end get this long; then their streams are ended in words. Below Limits.shutdown_s.
LAST_WORDS_S = 5.0


@grouped()
def command(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Models: names, folders, .gguf files, or builds (chat model and classifier); NAME=PATH names one.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--models", help="A folder of models, each served by its name. Default, if no MODEL: what was pulled."
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = PORT,
    listen: ListenOptions = ListenOptions(),
    cors: Annotated[
        list[str] | None,
        typer.Option(
            "--cors",
            metavar="ORIGIN",
            help="A web page that may call: https://example.org, or a scheme: app:// (again for more). Pages of localhost may.",
        ),
    ] = None,
    keep_alive: Annotated[
        str, typer.Option("--keep-alive", help='How long an unused model stays in memory: "5m", 0, -1 (for ever).')
    ] = "5m",
    memory_gb: Annotated[
        float | None,
        typer.Option("--memory-gb", min=0.1, help="What models may take together. Default: 70 % of this machine's."),
    ] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    reproducible: Annotated[
        bool, typer.Option("--reproducible", help="The same text alone and among others in every precision; slower.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve models to the clients people already have: the Ollama API (/api) and the OpenAI API (/v1) on one port.

    It listens on this machine alone, unless --host says otherwise. Ctrl-C ends it. docs/serving.md has the clients' side. --json prints the
    address and the names as one line of JSON, once it listens.

    Examples:

        groundup serve runs/quickstart

        groundup serve my-chat=runs/quickstart/chat spam=runs/quickstart/spam --port 8080

        groundup serve smollm2-135m-instruct --precision int8

        groundup serve runs/quickstart --host 0.0.0.0 --api-key "$KEY" --cors https://example.org
    """
    require_extra("serve", "starlette", "uvicorn", "prometheus_client")
    from groundup.device import choose_threads, select_compute
    from groundup.engine.precision import as_precision_choice, emulation_note
    from groundup.http.access import access_for
    from groundup.http.access_log import AccessLog
    from groundup.http.guard import Guard
    from groundup.http.limits import Limits
    from groundup.http.run_server import run_server
    from groundup.serve.app import app_of, error_body, paths_of
    from groundup.serve.loaded_models import ComputeSettings
    from groundup.serve.model_info import determinism_note

    access = access_for(**vars(listen), origins=cors or (), local_pages=True)
    limits, progress = Limits(), console_progress()
    registry = registry_of(models or [], folder, progress)
    compute = select_compute(device)
    choose_threads(compute)
    compute_settings = ComputeSettings(as_precision_choice(precision), compute)
    settings = settings_of(reproducible)
    server = server_of(registry, compute_settings, limits, settings, keep_alive=keep_alive, memory_gb=memory_gb)
    progress.say(determinism_note(compute_settings.precision, reproducible=reproducible))
    note = emulation_note(compute_settings.precision, compute_settings.compute)
    if note:
        progress.say(note)
    app = app_of(server)
    run_server(
        Guard(app, access, limits, error_body=error_body),
        listen.host,
        port,
        announce=lambda address: greet(address, [each.name for each in registry.listed()], as_json=as_json),
        around=lambda guard: AccessLog(guard, server.metrics, paths_of(app), _log),
        stopping=lambda: server.stop(LAST_WORDS_S),
    )


def registry_of(models: Sequence[str], folder: Path | None, progress: Progress) -> "ModelRegistry":
    """The models that were named, and those of the folder. Raises ConfigError, ModelError, FormatError, NetworkError."""
    from groundup.files import cache_folder
    from groundup.serve.model_registry import ModelRegistry
    from groundup.weights.model_io import find_model

    if folder is not None and not folder.is_dir():
        raise ConfigError(f"--models {folder} is no folder.", fix="Name a folder with models in it.")
    named: dict[str, Path] = {}
    for name, path in map(name_and_path, models):
        found = {name: find_model(path, progress=progress), **classifier_of_build(name, path)}
        for twice in found.keys() & named.keys():
            raise ConfigError(f"Two models would be named {twice!r}.", fix="Name them yourself: NAME=PATH.")
        named |= found
    registry = ModelRegistry(named, cache_folder("models") if folder is None and not models else folder)
    if not registry.listed():
        raise ConfigError("There is no model to serve.", fix="Name one, such as: groundup serve runs/quickstart")
    return registry


def classifier_of_build(name: str, path: str) -> dict[str, Path]:
    """The finished classifier of a build, as NAME-spam beside its chat model, which is NAME; {} for anything else."""
    from groundup.weights.hf_config import CONFIG_FILE
    from groundup.weights.verify import BUILD_FILE

    stage = Path(path) / CLASSIFIER_STAGE
    is_there = (Path(path) / BUILD_FILE).is_file() and (stage / CONFIG_FILE).is_file()
    return {f"{name}-{CLASSIFIER_STAGE}": stage} if is_there else {}


def name_and_path(given: str) -> tuple[str, str]:
    """NAME=PATH, or a path (or a catalog's name) whose last part is the name.

    >>> name_and_path("my=runs/x/chat"), name_and_path("runs/x")
    (('my', 'runs/x/chat'), ('x', 'runs/x'))
    """
    from groundup.files import safe_name
    from groundup.serve.model_registry import default_name

    name, equals, path = given.partition("=")
    if equals and not os.path.exists(given):
        return safe_name(name), path
    return default_name(Path(given)), given


def settings_of(reproducible: bool) -> "BatchSettings":
    """How answers are computed together. Prompts of reproducible ones go page by page, so their pages are larger."""
    from groundup.engine.batch import BatchSettings

    return BatchSettings(page_tokens=64, reproducible=True) if reproducible else BatchSettings()


def server_of(
    registry: "ModelRegistry",
    compute_settings: "ComputeSettings",
    limits: "Limits",
    settings: "BatchSettings",
    *,
    keep_alive: str,
    memory_gb: float | None,
) -> "Server":
    """A server with one worker. Raises ConfigError for a `keep_alive` that is no time."""
    from groundup.http.access_log import Metrics
    from groundup.serve.loaded_models import LoadedModels
    from groundup.serve.ollama.generation import keep_alive_s
    from groundup.serve.requests import RequestError
    from groundup.serve.server import Server
    from groundup.serve.worker import Worker

    try:
        keep_s = keep_alive_s(keep_alive)
    except RequestError as error:
        raise ConfigError(f"--keep-alive {keep_alive!r} is no time.", fix='Write seconds, or "5m", or -1.') from error
    worker = Worker(settings.max_running + limits.waiting_requests)
    memory_bytes = int(memory_gb * 1e9) if memory_gb else int(MEMORY_SHARE * machine_memory_bytes())
    assert keep_s is not None
    loaded_models = LoadedModels(
        worker, compute_settings, keep_alive_s=keep_s, memory_bytes=memory_bytes, settings=settings
    )
    return Server(registry, loaded_models, worker, limits, Metrics())


def machine_memory_bytes() -> int:
    """All memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def greet(address: str, names: Sequence[str], *, as_json: bool) -> None:
    """Say where it listens: to stdout, at once, since whoever started it may be waiting for the address."""
    if as_json:
        print(json.dumps({"address": address, "models": list(names)}), flush=True)
        return
    shown = ", ".join(name.removesuffix(":latest") for name in names)
    print(f"Serving {shown} at {address}")
    print(f"  In a browser     {address}")
    print(f"  Ollama clients   {address}       (OLLAMA_HOST={address})")
    print(f"  OpenAI clients   {address}/v1    (OPENAI_BASE_URL={address}/v1)")
    print("Ctrl-C ends it.", flush=True)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
