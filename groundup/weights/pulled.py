"""The named models (`catalog.py`) that are in the cache: `model_hub.py` fetches the others."""

from pathlib import Path

from groundup.errors import FormatError
from groundup.files import cache_folder, sha256_file, verify_folder
from groundup.locks import hold
from groundup.weights.catalog import CATALOG
from groundup.weights.model_format import manifest_value

# The adapters of tuned models, which the package carries.
ADAPTERS = Path(__file__).with_name("adapters")


def pulled(name: str) -> Path | None:
    """The folder in the cache, if its files are there in full size. Opening it checks their
    hashes.
    """
    folder = cache_folder("models") / name
    hold(folder)
    try:
        verify_folder(folder, hashes=False)
    except FormatError:
        return None
    return folder if is_current(folder, name) else None


def is_current(folder: Path, name: str) -> bool:
    """Whether a tuned model has the adapter that the package has now."""
    if name not in CATALOG or not CATALOG[name].tuned_from:
        return True
    return manifest_value(folder, "from") == adapter_origin(name)


def adapter_origin(name: str) -> str:
    """Where a tuned model comes from: the adapter of the package, by its hash."""
    return f"adapter:{sha256_file(ADAPTERS / f'{name}.safetensors')}"
