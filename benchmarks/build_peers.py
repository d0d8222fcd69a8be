"""llama.cpp from its source for this machine, to be compared with: `make peers`, or

python benchmarks/build_peers.py [--jobs N]

The source comes in the source distribution of the Python package `llama-cpp-python`, fetched by pip and checked by its SHA-256. It is built with
cmake and the C++ compiler (-march=native and all that ggml finds for the processor) in groundup's cache: the libraries, `llama-bench`,
`llama-server` and `llama_greedy` (llama_greedy.cpp). Some 10 minutes of one core and 500 MB; Ctrl-C keeps what is compiled. `--clean` removes it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from groundup.cli.console import console_progress
from groundup.errors import ConfigError, GroundupError
from groundup.fetch import fetch_package, members
from groundup.files import (
    cache_folder,
    cache_path,
    inside,
    replace_folder,
    write_bytes,
    write_json,
)
from groundup.locks import only_one, temporary_folder
from groundup.progress import Progress

PACKAGE, SHA256 = (
    "llama-cpp-python==0.3.36",
    "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
)
# Of llama.cpp, as the archive's git folder names it.
COMMIT = "0c1e57098"
SOURCE = "llama_cpp_python-0.3.36/vendor/llama.cpp/"
# What is not needed to compile: pictures, tests' models, other programs.
LEFT_OUT = (".git", "models/", "docs/", "media/", "tools/ui/src", "tools/ui/static")
FLAGS = {
    "CMAKE_BUILD_TYPE": "Release",
    "GGML_NATIVE": "ON",
    "GGML_OPENMP": "ON",
    "GGML_CCACHE": "OFF",
    "LLAMA_BUILD_COMMIT": COMMIT,
    "LLAMA_BUILD_NUMBER": "0",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}
TARGETS = ("llama-bench", "llama-server")
GREEDY = Path(__file__).with_name("llama_greedy.cpp")
BUILT_FILE = "built.json"
_DONE = re.compile(r"\[\s*(\d+)(?:/(\d+)|%)\]")


@dataclass(frozen=True)
class NativePeers:
    """Programs that were built here, and what of."""

    bench: Path
    server: Path
    greedy: Path
    description: dict[str, str]
    """Version, compiler, flags."""


def peers_folder() -> Path:
    return cache_path("peers", f"llama.cpp-{PACKAGE.partition('==')[2]}")


def native_peers() -> NativePeers:
    """What `make peers` built. Raises ConfigError."""
    folder = peers_folder()
    try:
        description = json.loads((folder / BUILT_FILE).read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            "llama.cpp is not built for this machine.", fix="Run make peers."
        ) from error
    programs = folder / "build" / "bin"
    greedy = programs / "llama_greedy"
    return NativePeers(programs / TARGETS[0], programs / TARGETS[1], greedy, description)


def build(jobs: int, progress: Progress) -> NativePeers:
    """Whatever is missing. Raises ConfigError (no compiler, or it failed), NetworkError, DiskError."""
    compiler = needed("c++", "a C++ compiler (g++ or clang++)")
    cmake = needed("cmake", "cmake")
    folder = peers_folder()
    with only_one(folder):
        source, made = folder / "source", folder / "build"
        if not source.is_dir():
            unpack(folder, source, progress)
        flags = [f"-D{name}={value}" for name, value in FLAGS.items()]
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        if not (made / "CMakeCache.txt").exists():
            run([cmake, "-S", source, "-B", made, *generator, *flags], folder)
        compile_with([cmake, "--build", made, "--parallel", jobs, "--target", *TARGETS], progress)
        programs = made / "bin"
        include = [f"-I{source / part}" for part in ("include", "ggml/include")]
        link = [f"-L{programs}", "-lllama", "-lggml", "-lggml-cpu", "-lggml-base", "-pthread"]
        out = ["-o", programs / "llama_greedy", f"-Wl,-rpath,{programs}"]
        fast = ["-std=c++17", "-O3", "-march=native", "-ffast-math"]
        run([compiler, *fast, *include, GREEDY, *out, *link], folder)
        version = run([compiler, "--version"], folder).splitlines()[0]
        described = {
            "llama.cpp": f"{COMMIT} of {PACKAGE}",
            "compiler": version,
            "flags": " ".join(flags),
        }
        write_json(folder / BUILT_FILE, described)
    return native_peers()


def needed(program: str, what: str) -> str:
    """Its path. Raises ConfigError."""
    found = shutil.which(program)
    if found is None:
        fix = "On Debian: apt install g++ cmake ninja-build."
        raise ConfigError(f"llama.cpp can't be built: {what} is not installed.", fix=fix)
    return found


def unpack(folder: Path, source: Path, progress: Progress) -> None:
    """The source of llama.cpp alone, whole or not at all."""
    archive = fetch_package(PACKAGE, SHA256, kind="sdist", progress=progress)
    with temporary_folder(folder) as temporary:
        root = temporary / "source"
        for member in members(archive, f"{SOURCE}*", skip=lambda reason, name: None):
            name = member.name.removeprefix(SOURCE)
            if not name.startswith(LEFT_OUT):
                path = inside(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(member.read())
        replace_folder(root, source)


def run(command: list[object], folder: Path) -> str:
    """What it prints. Raises ConfigError with the first error of what it says."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise failed(words[0], done.stdout, folder)
    return done.stdout


def failed(program: str, said: str, folder: Path) -> ConfigError:
    log = folder / "failed.log"
    write_bytes(log, said.encode())
    lines = [line.strip() for line in said.splitlines() if "error" in line.lower()]
    why = (lines or said.strip().splitlines()[-1:] or ["no message"])[0][:300]
    reason = f"llama.cpp can't be built: {Path(program).name} failed ({why})."
    return ConfigError(reason, fix=f"All that it said: {log}")


def compile_with(command: list[object], progress: Progress) -> None:
    """With a bar of the files that are left."""
    said: list[str] = []
    words = [str(word) for word in command]
    with (
        progress.track("compile llama.cpp", 0, "files") as advance,
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        assert process.stdout is not None
        before = 0
        for line in process.stdout:
            said.append(line)
            if found := _DONE.match(line):
                done, total = int(found[1]), int(found[2] or 100)
                advance(done - before, total=total)
                before = done
    if process.returncode:
        raise failed(words[0], "".join(said), peers_folder())


def main() -> int:
    """Build, and say what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once")
    parser.add_argument("--clean", action="store_true", help="remove what was built")
    options = parser.parse_args()
    if options.clean:
        shutil.rmtree(peers_folder(), ignore_errors=True)
        return 0
    try:
        cache_folder("peers")
        found = build(options.jobs, console_progress())
    except GroundupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, value in found.description.items():
        print(f"{name}: {value}")
    print(f"programs: {found.server.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
