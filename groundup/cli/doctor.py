"""`groundup doctor`: what this machine has, and what that means."""

import importlib.util
import os
import platform
import shutil
import sys
from typing import Any

from groundup.cli.console import print_result, table
from groundup.cli.options import JsonOption
from groundup.files import cache_folder
from groundup.runs import package_version
from groundup.threads import allowed_cores, decide, seen_cores

# extra -> modules that must be importable for it
EXTRAS = {
    "demo": ("sklearn", "xllamacpp"),
    "hub": ("huggingface_hub",),
    "lab": ("matplotlib", "plotly"),
    "notebooks": ("nbclient", "ipykernel"),
    "parquet": ("pyarrow",),
    "serve": ("starlette", "uvicorn", "prometheus_client", "llguidance"),
    "tensorboard": ("tensorboard",),
    "umap": ("umap",),
    "wandb": ("wandb",),
}
ENOUGH_MEMORY_BYTES = 6e9
ENOUGH_DISK_BYTES = 5e9


def command(as_json: JsonOption = False) -> None:
    """Say what this machine has (device, bf16, compiler, memory, disk, extras) and what that means.

    Examples:

        groundup doctor

        groundup doctor --json
    """
    rows = examine()
    lines = table(["what", "found", "what it means"], [[row["what"], row["found"], row["meaning"]] for row in rows])
    print_result(lines, rows, as_json)


def examine() -> list[dict[str, Any]]:
    """One row a thing: what, found, meaning."""
    import torch

    return [
        _row("groundup", _versions(), "name these when you report something"),
        _device(torch),
        _threads(torch),
        _bf16(),
        _compiler(),
        _memory(),
        _disk(),
        *(_extra(name, modules) for name, modules in EXTRAS.items()),
    ]


def _row(what: str, found: str, meaning: str) -> dict[str, Any]:
    return {"what": what, "found": found, "meaning": meaning}


def _versions() -> str:
    return f"{package_version('groundup') or 'from source'}, Python {platform.python_version()}, torch {package_version('torch')}"


def _device(torch: Any) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    if torch.cuda.is_available():
        return _row("device", f"cuda: {torch.cuda.get_device_name(0)}", "chosen by --device auto")
    if torch.backends.mps.is_available():
        return _row("device", f"mps, {cores} cores", "chosen by --device auto")
    return _row(
        "device",
        f"cpu, {cores} cores",
        "fine for quickstart: about 10 minutes on 2 cores",
    )


def _threads(torch: Any) -> dict[str, Any]:
    choice = decide(os.environ, seen_cores(), allowed_cores())
    found = f"{'up to ' if choice.tuned else ''}{torch.get_num_threads()} for computing"
    return _row("threads", found, choice.reason)


def _bf16() -> dict[str, Any]:
    from groundup.device import cpu_has_bf16

    if cpu_has_bf16():
        return _row("bf16", "in the processor", "fine-tuning the 135M model runs at about twice the speed")
    return _row("bf16", "not in the processor", "training, Muon and answers in float32: plan half as much more time")


def _compiler() -> dict[str, Any]:
    found = next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), None)
    return _row(
        "compiler",
        found or "none",
        "long trainings go uncompiled" if found is None else "long trainings may be compiled with it",
    )


def _memory() -> dict[str, Any]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    meaning = (
        "enough for quickstart"
        if total > ENOUGH_MEMORY_BYTES
        else "quickstart may need up to 6 GB: close other programs"
    )
    return _row("memory", f"{total / 1e9:.1f} GB", meaning)


def _disk() -> dict[str, Any]:
    free = min(shutil.disk_usage(".").free, shutil.disk_usage(cache_folder()).free)
    meaning = "enough for quickstart" if free > ENOUGH_DISK_BYTES else "quickstart needs about 3 GB: free some"
    return _row("disk", f"{free / 1e9:.1f} GB free", meaning)


def _extra(name: str, modules: tuple[str, ...]) -> dict[str, Any]:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return _row(f"extra {name}", "installed", "ready")
    return _row(f"extra {name}", f"missing {', '.join(missing)}", f"pip install 'groundup[{name}]' ({sys.prefix})")
