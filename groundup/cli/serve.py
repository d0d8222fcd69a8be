"""`groundup serve`: models and documents over HTTP, for clients of Ollama, OpenAI, Perplexity and
LangChain with no change but the address.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

from groundup.cli.console import console_progress
from groundup.cli.fields import grouped
from groundup.cli.options import (
    ActionOptions,
    DeviceOption,
    JsonOption,
    KVCacheOption,
    PortOption,
    PrecisionOption,
    SpeculateOption,
)
from groundup.cli.serve_options import (
    AccessOptions,
    KeptOptions,
    access_of,
    assistants_of,
    chosen_compute,
    chosen_precision,
    header_name,
    indexes_of_builds,
    models_of,
    name_and_path,
    open_desks,
    open_kept,
    script_tags,
    without_indexes,
)
from groundup.cli.start import START
from groundup.errors import ConfigError, require_extra
from groundup.garbage_collection import without_collection
from groundup.progress import Progress

if TYPE_CHECKING:
    from groundup.http.limits import Limits
    from groundup.serve.indexes import ServedIndexes
    from groundup.serve.loaded_models import LoadedModels
    from groundup.serve.model_registry import ModelRegistry
    from groundup.serve.server import ModelServer
    from groundup.serve.tool_prompt import ToolSetting

# Ollama's own port, so that its clients find this server unconfigured. Where Ollama runs too, the
# error names it and --port.
PORT = 11434
MEMORY_SHARE = 0.7
INT8_NOTE = (
    "Answers are written in int8 where the compiled step decodes the model, else in float32 "
    "(--precision float32: all): with a seed, or at temperature 0, each is the same alone and "
    "among others."
)
# Answers in progress at shutdown get this long; then their streams end with a message. Below
# Limits.shutdown_s.
LAST_WORDS_S = 5.0


@dataclass(frozen=True)
class ServerOptions:
    """Memory, device and precision of the models that are served."""

    keep_alive: Annotated[
        str,
        Option("--keep-alive", help='Time an unused model stays in memory: "5m", 0, -1 (forever).'),
    ] = "5m"
    memory_gb: Annotated[
        float | None,
        Option(
            "--memory-gb", min=0.1, help="Memory for all models; default: 70 % of the machine's."
        ),
    ] = None
    device: DeviceOption = "auto"
    precision: PrecisionOption = None
    speculate: SpeculateOption = False
    kv_cache_dtype: KVCacheOption = "auto"
    tools: Annotated[
        Literal["forced", "any", "template", "off"],
        Option(
            "--tools",
            help="Tools for models whose template has none: where a call is forced, for any, "
            "or not; off: none.",
        ),
    ] = "forced"
    reproducible: Annotated[
        bool,
        Option(
            "--reproducible", help="Same text alone and in a batch, in every precision; slower."
        ),
    ] = False
    own_words: Annotated[
        bool,
        Option(
            "--own-words",
            help="Answers from documents: also the model's sentences, checked; "
            "else quotations only.",
        ),
    ] = False
    promised: Annotated[
        bool,
        Option(
            "--promised",
            help="Answer from documents only what each index's promised error rate covers.",
        ),
    ] = False
    customer_header: Annotated[
        str,
        Option(
            "--customer-header",
            metavar="NAME",
            help="HTTP header by which a proxy before the server says who is signed in, for the "
            "rules of actions.",
        ),
    ] = ""
    trial: Annotated[
        bool | None,
        Option(
            "--trial/--no-trial",
            help="Where nobody is signed in, a pack's trial customer is; default: on this machine "
            "alone, without --customer-header and public keys.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class ServedSources:
    """What is served besides the named models."""

    folder: Annotated[
        Path | None,
        Option("--models", help="A folder of models; default without MODEL: the pulled ones."),
    ] = None
    adapters: Annotated[
        list[str] | None,
        Option(
            "--adapter",
            metavar="NAME=DIR",
            help="Serve an adapter of MODEL by its name (again for more).",
        ),
    ] = None
    indexes: Annotated[
        list[str] | None,
        Option(
            "--index",
            metavar="INDEX",
            help="Answer from an index of documents, or NAME=INDEX (again for more).",
        ),
    ] = None


@grouped()
def command(
    models: Annotated[
        list[str] | None,
        Argument(
            metavar="MODEL",
            help="Names, folders, .gguf files, builds (models and index), indexes, or NAME=PATH.",
        ),
    ] = None,
    sources: ServedSources = ServedSources(),
    port: PortOption = PORT,
    listen: AccessOptions = AccessOptions(),
    options: ServerOptions = ServerOptions(),
    mcp: Annotated[
        Literal["http", "stdio"] | None,
        Option(
            "--mcp",
            help="Search, ask and actions as tools of the Model Context Protocol: http also at "
            "/mcp, stdio there alone.",
        ),
    ] = None,
    actions: ActionOptions = ActionOptions(),
    kept: KeptOptions = KeptOptions(),
    as_json: JsonOption = False,
) -> None:
    """Serve models over the Ollama API (/api) and the OpenAI API (/v1) on one port, and with
    --index answers from documents over Perplexity's.

    Only clients on this machine, and web pages of localhost, are served, unless --host and --cors
    are given. Ctrl-C stops the server. Setup of clients: docs/serving.md. --json prints the address
    and the model names as one line of JSON once the server listens.

    Examples:
        groundup serve runs/quickstart
        groundup serve runs/my-firm --mcp stdio
        groundup serve my-chat=runs/quickstart/chat spam=runs/quickstart/spam --port 8080
        groundup serve smollm2-135m-instruct --precision float32
        groundup serve smollm2-135m-instruct --adapter brief=runs/brief --adapter polite=runs/polite
        groundup serve manuals.index
        groundup serve smollm2-135m-instruct --index manuals.index
        groundup serve runs/my-firm --feedback feedback.jsonl
        groundup serve runs/quickstart --host 0.0.0.0 --api-key "$KEY" --cors https://example.org
        groundup serve runs/bank --api-key "$KEY" --public-key bank --cors https://bank.example
    """
    progress = console_progress()
    loading = ", ".join(models or sources.indexes or ["the pulled models"])
    progress.say(f"Loading {loading} ...")
    START.part("opening models and documents", said=True)
    require_extra("serve", "starlette", "uvicorn", "prometheus_client")
    if mcp is not None:
        require_extra("mcp", "mcp")
        from groundup.serve.mcp.endpoint import McpEndpoint, serve_stdio
    access, public = access_of(listen)
    if options.trial is None:
        private = access.loopback and not any((access.hosts, access.keys, options.customer_header))
        options = replace(options, trial=private)
    if mcp != "stdio":
        from groundup.http.run_server import listen as listen_at

        listen_at(listen.host, port).close()  # a port that is taken is said before models are read
    server = _open_server(models or [], sources, options, actions, progress)
    open_kept(server, kept, progress)
    if mcp is not None and not server.indexes.names:
        fix = "Serve a build with an index, or name one: --index INDEX"
        raise ConfigError("--mcp: no documents are served, which its tools search.", fix=fix)
    if mcp == "stdio":
        START.end(progress.say)
        serve_stdio(server)
        return
    if models and not server.indexes.names:
        first = server.registry.find(name_and_path(models[0])[0])
        server.loaded_models.open_ahead(server.registry.info(first))
    START.part("preparing routes")
    with without_collection():  # meanwhile
        from groundup.http.access_log import AccessLog
        from groundup.http.guard import Guard
        from groundup.http.run_server import run_server
        from groundup.serve.app.application import error_body
        from groundup.serve.app.by_key import AppsByKey
        from groundup.serve.assistants import languages_of

        beside = McpEndpoint() if mcp == "http" else None
        app, log = AppsByKey(server, access, beside), partial(print, file=sys.stderr, flush=True)

    def announce(address: str) -> None:
        names = [each.name for each in server.registry.aliases()]
        further = {}
        if beside is not None:
            further["MCP clients"] = f"{address}/mcp"
        if public:
            further["In your site"] = script_tags(listen, address, public, languages_of(server))
        greet(address, names, server.indexes.names, further, as_json=as_json)
        START.end(progress.say)

    run_server(
        Guard(app, app.access, server.limits, error_body=error_body),
        listen.host,
        port,
        announce=announce,
        around=lambda guard: AccessLog(guard, server.metrics, app.has_path, log),
        stopping=lambda: server.stop(LAST_WORDS_S),
        proxies=listen.proxies or (),
    )


@without_collection()
def _open_server(
    models: list[str],
    sources: ServedSources,
    options: ServerOptions,
    actions: ActionOptions,
    progress: Progress,
) -> "ModelServer":
    """Raises GroundupError."""
    from groundup.http.limits import Limits

    models, named = without_indexes(models)
    own = indexes_of_builds(models)
    indexes = indexes_of([*(sources.indexes or []), *named, *own])
    indexes.own_words, indexes.promised = options.own_words, options.promised
    assistants = assistants_of(models, own)
    for note in open_desks(indexes, models, assistants, actions, trial=bool(options.trial)):
        progress.say(note)
    registry = registry_of(
        models,
        sources.folder,
        progress,
        sources.adapters or [],
        tools=options.tools,
        needs_model=not indexes.names,
        assistants=assistants,
    )
    server = server_of(registry, options, Limits(), indexes)
    server.loaded_models.progress = progress
    server.customer_header = header_name(options.customer_header)
    indexes.open_vectors(server.worker, progress)
    notes = precision_notes(server.loaded_models, registry)
    for note in [*indexes.promise_lines(), *notes]:
        progress.say(note)
    return server


def precision_notes(loaded: "LoadedModels", registry: "ModelRegistry") -> list[str]:
    """One line by default, with warnings where a precision was asked for."""
    from groundup.kernels.step_check import expected_note
    from groundup.serve.model_registry import determinism_note

    reproducible, asked = loaded.settings.reproducible, loaded.precision
    if any(map(loaded.is_by_step, registry.paths())):
        if asked is None:
            return [INT8_NOTE]
        return [determinism_note(asked, reproducible=False), expected_note(asked)]
    from groundup.engine.precision import default_precision, emulation_note
    from groundup.weights.packed import unpacked_note

    if asked is not None:
        notes = [determinism_note(asked, reproducible=reproducible), expected_note(asked)]
        notes += [
            emulation_note(asked, loaded.compute),
            *(unpacked_note(path, asked) for path in registry.paths()),
        ]
        return [note for note in notes if note]
    if not reproducible:
        defaults = {default_precision(path, loaded.compute) for path in registry.paths()}
        if "int8" in defaults:
            return [INT8_NOTE]
    return [determinism_note("float32", reproducible=reproducible)]


def indexes_of(given: Sequence[str]) -> "ServedIndexes":
    """A path's name is that of its folder without ".index". Raises ConfigError, FormatError."""
    from groundup.serve.indexes import SUFFIX, ServedIndexes

    named: dict[str, Path] = {}
    for name, path in map(name_and_path, given):
        _add(named, {name.removesuffix(SUFFIX): Path(path)}, "indexes")
    return ServedIndexes(named)


def registry_of(
    models: Sequence[str],
    folder: Path | None,
    progress: Progress,
    adapters: Sequence[str] = (),
    *,
    tools: "ToolSetting" = "forced",
    needs_model: bool = True,
    assistants: Mapping[str, str] | None = None,
) -> "ModelRegistry":
    """`assistants`: of the models those that answer from an index. Raises ConfigError, ModelError,
    FormatError, NetworkError.
    """
    from groundup.files import cache_folder
    from groundup.serve.model_registry import ModelRegistry

    assistants = assistants or {}
    if folder is not None and not folder.is_dir():
        raise ConfigError(
            f"--models {folder} is not a folder.", fix="Name a folder with models in it."
        )
    if folder is None and not models:
        folder = cache_folder("models")
    named: dict[str, Path] = {}
    for name, path in map(name_and_path, models):
        _add(named, models_of(name, path, progress, is_assistant=name in assistants))
    bases = {name: _base_of(path, named) for name, path in map(name_and_path, adapters)}
    for name, path in map(name_and_path, adapters):
        _add(named, {name: Path(path)})
    registry = ModelRegistry(named, folder, bases, tools, assistants)
    if needs_model and not registry.aliases():
        raise ConfigError(
            "There is no model to serve.", fix="Name one, such as: groundup serve runs/quickstart"
        )
    return registry


def _add(named: dict[str, Path], found: dict[str, Path], what: str = "models") -> None:
    """Raises ConfigError for a name that is taken."""
    for twice in found.keys() & named.keys():
        raise ConfigError(
            f"Two {what} have the name {twice!r}.", fix="Name them yourself: NAME=PATH."
        )
    named |= found


def _base_of(adapter: str, named: dict[str, Path]) -> Path:
    """Which of the named models it is of. Raises ConfigError, ModelError (of another base),
    FormatError.
    """
    from groundup.device import select_compute
    from groundup.weights.adapter import base_name, with_adapter
    from groundup.weights.model_io import open_model
    from groundup.weights.verify import is_adapter

    folder = Path(adapter)
    if not adapter or not os.path.isdir(folder):
        fix = "Name the folder that `finetune` made, or one in PEFT's format: NAME=DIR."
        raise ConfigError(f"--adapter {adapter[:200]!r} is no folder.", fix=fix)
    if not is_adapter(folder):
        raise ConfigError(
            f"--adapter {adapter} is not the folder of an adapter.",
            fix="Serve it as a model: NAME=PATH.",
        )
    recorded = base_name(folder)
    same = [path for path in named.values() if recorded in (path.name, str(path.resolve()))]
    if not same and len(named) != 1:
        raise ConfigError(
            f"--adapter {adapter} is of {recorded}, which is none of the models that are served.",
            fix=f"Name its base, too: groundup serve {recorded}",
        )
    base = (same or list(named.values()))[0]
    if not same:  # a copy, or another model: its weights tell
        with_adapter(open_model(base, select_compute("cpu")), folder, merge=False)
    return base


def server_of(
    registry: "ModelRegistry",
    options: ServerOptions,
    limits: "Limits",
    indexes: "ServedIndexes | None" = None,
) -> "ModelServer":
    """Raises ConfigError for options that can't be fulfilled."""
    from groundup.engine.batch import BatchSettings
    from groundup.engine.prompt_lookup import DRAFT_TOKENS
    from groundup.http.access_log import Metrics
    from groundup.operating_system import machine_memory_bytes
    from groundup.serve.loaded_models import LoadedModels
    from groundup.serve.ollama.generation import keep_alive_s
    from groundup.serve.requests import RequestError
    from groundup.serve.server import ModelServer
    from groundup.serve.worker import Worker

    settings = BatchSettings(
        reproducible=options.reproducible, kv_cache_dtype=options.kv_cache_dtype
    )
    if options.reproducible:  # prompts are computed page by page, so their pages are larger
        settings = replace(settings, page_tokens=64)
    if options.speculate:
        settings = replace(settings, draft_tokens=DRAFT_TOKENS)
    memory_bytes = MEMORY_SHARE * machine_memory_bytes()
    if options.memory_gb:
        memory_bytes = 1e9 * options.memory_gb
    try:
        keep_s = keep_alive_s(options.keep_alive)
    except RequestError as error:
        fix = 'Write seconds, or "5m", or -1.'
        raise ConfigError(
            f"--keep-alive {options.keep_alive!r} is not a duration.", fix=fix
        ) from error
    assert keep_s is not None
    worker = Worker(settings.max_running + limits.waiting_requests)
    loaded = LoadedModels(
        worker,
        partial(chosen_compute, options.device),
        chosen_precision(options.precision),
        keep_alive_s=keep_s,
        memory_bytes=int(memory_bytes),
        settings=settings,
        device=options.device,
    )
    if options.kv_cache_dtype != "auto":
        for alias in registry.aliases():
            loaded.require_kv_cache(registry.info(alias))
    if not any(map(loaded.is_by_step, registry.paths())):
        _ = loaded.compute  # refused, and measured, before the server listens
    return ModelServer(registry, loaded, worker, limits, Metrics(), indexes)


def greet(
    address: str,
    names: Sequence[str],
    indexes: Sequence[str],
    further: Mapping[str, str],
    *,
    as_json: bool,
) -> None:
    """Unbuffered, since the calling program may be waiting for it. `further`: lines by their
    beginnings.
    """
    if as_json:
        greeting = {"address": address, "models": list(names), "indexes": list(indexes)}
        print(json.dumps(greeting), flush=True)
        return
    served = [", ".join(sorted(name.removesuffix(":latest") for name in names))]
    if indexes:
        served.append(f"the documents of {', '.join(indexes)}")
    print(f"Serving {' and '.join(filter(None, served))} at {address}")
    print(f"  In a browser     {address}")
    print(f"  Ollama clients   {address}       (OLLAMA_HOST={address})")
    print(f"  OpenAI clients   {address}/v1    (OPENAI_BASE_URL={address}/v1)")
    if indexes:
        print(f"  Perplexity's     {address}       (PERPLEXITY_BASE_URL={address})")
    for beginning, line in further.items():
        print(f"  {beginning:<16} {line}")
    print("Ctrl-C ends it.", flush=True)
