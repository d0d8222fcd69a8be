"""The Python that runs here as a folder for a machine that has none, on Linux: the interpreter with
its standard library, the libraries that these are linked with, and the packages that a requirement
needs, each as it is installed here.

    FOLDER/bin/python3           found to be at home by the landmark lib/pythonX.Y/os.py beside it
    FOLDER/lib/pythonX.Y/        the standard library, and site-packages/
    FOLDER/libs/                 shared libraries, for LD_LIBRARY_PATH; the C library is the system's

No registry is asked: what was tried here is what the other machine gets. Left out: caches, tests,
headers, and what the packages' folders have outside site-packages.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path

import groundup
from groundup.errors import ConfigError

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
# Of the C library, which must be the system's own.
_C_LIBRARY = re.compile(
    r"(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util|nsl|mvec|anl|BrokenLocale))\.so\.\d+"
)
_LINKED = re.compile(r"^\s*(\S+) => (/\S+) \(0x", re.MULTILINE)
_GLIBC = re.compile(rb"GLIBC_2\.(\d+)\0")
# Of the standard library: what has windows or is for developers.
LEFT_OUT = {
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data"),
    *("__pycache__", "site-packages", "dist-packages", "turtle.py"),
}
# Of packages: what only compilers and type checkers read.
DEVELOPERS_SUFFIXES = {".pyi", ".h", ".hpp", ".cuh", ".a", ".lib", ".cmake", ".pyc", ".pxd", ".c"}
DEVELOPERS_FOLDERS = {"__pycache__", "include", "cmake"}
DEVELOPERS_FILES = ("torch/bin/protoc", "torch/bin/test", "torch/test/")
# They install others, which nobody does there.
INSTALLERS = {"pip", "setuptools", "wheel"}


def copy_interpreter(folder: Path) -> None:
    """Copy the interpreter, its standard library and the libraries that both are linked with.
    Raises ConfigError elsewhere than on Linux.
    """
    require_linux()
    library = folder / "lib" / VERSION
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=_left_out)
    (folder / "bin").mkdir()
    shutil.copy(Path(getattr(sys, "_base_executable", sys.executable)).resolve(), _python(folder))
    (library / "site-packages").mkdir()


def require_linux() -> None:
    """Raises ConfigError where no such folder can be made."""
    if not sys.platform.startswith("linux"):
        raise ConfigError(
            "A folder with Python inside can be made on Linux only.",
            fix="Here: --form page for a small model; or install groundup on the other machine.",
        )


def _python(folder: Path) -> Path:
    return folder / "bin" / "python3"


def _left_out(folder: str, names: list[str]) -> set[str]:
    return {
        name
        for name in names
        if name in LEFT_OUT or name.startswith(("config-", "_test", "_tkinter", "xxlimited"))
    }


def copy_packages(folder: Path, requirement: str, extras: Iterable[str]) -> dict[str, str]:
    """Copy groundup's own modules and the installed packages that `requirement` with `extras`
    needs; return their versions by name.

    Raises ConfigError for a package that is not installed.
    """
    site, versions = folder / "lib" / VERSION / "site-packages", dict[str, str]()
    own = Path(groundup.__file__).parent
    shutil.copytree(own, site / own.name, ignore=_left_out)
    for found in needed(requirement, extras):
        versions[found.metadata["Name"]] = found.version
        if found.metadata["Name"] != "groundup":
            _copy_files(found, site)
    return versions


def needed(requirement: str, extras: Iterable[str]) -> Iterator[Distribution]:
    """Yield the installed distribution and those that it needs, each once."""
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name

    left, seen = [(requirement, frozenset(extras))], set[tuple[str, frozenset[str]]]()
    given = set[str]()
    while left:
        name, wanted = left.pop()
        key = canonicalize_name(name)
        if key in INSTALLERS or (key, wanted) in seen:
            continue
        seen.add((key, wanted))
        try:
            found = distribution(name)
        except PackageNotFoundError as error:
            raise ConfigError(
                f"The package {name} is not installed here, so it can't be copied.",
                fix=f"Install it: pip install {name}",
            ) from error
        if key not in given:
            given.add(key)
            yield found
        for line in found.requires or ():
            each = Requirement(line)
            asked = [{"extra": extra} for extra in (*wanted, "")]
            if each.marker is None or any(map(each.marker.evaluate, asked)):
                left.append((each.name, frozenset(each.extras)))


def packages_bytes(requirement: str, extras: Iterable[str]) -> int:
    """Return the size of what `copy_packages` copies of other packages. Raises ConfigError."""
    return sum(
        Path(str(file.locate())).stat().st_size
        for found in needed(requirement, extras)
        if found.metadata["Name"] != "groundup"
        for file in _files_to_run(found)
    )


def _files_to_run(found: Distribution) -> Iterator[PackagePath]:
    for file in found.files or ():
        parts = file.parts
        if ".." in parts or file.suffix in DEVELOPERS_SUFFIXES or {*parts} & DEVELOPERS_FOLDERS:
            continue
        if not file.as_posix().startswith(DEVELOPERS_FILES):
            yield file


def _copy_files(found: Distribution, site: Path) -> None:
    for file in _files_to_run(found):
        target = site / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(file.locate()), target)


def copy_libraries(folder: Path) -> None:
    """Copy the shared libraries that the interpreter and all modules below `folder` are linked with
    and that are not in it. Raises ConfigError without `ldd`.
    """
    libraries, inside = folder / "libs", set[str]()
    libraries.mkdir()
    modules = [_python(folder), *sorted(folder.rglob("*.so")), *sorted(folder.rglob("*.so.*"))]
    inside = {module.name for module in modules}
    for name, place in linked(modules).items():
        if name not in inside and not _C_LIBRARY.fullmatch(name):
            shutil.copy(place, libraries / name)


def linked(modules: list[Path]) -> dict[str, Path]:
    """Return the libraries that the loader finds for these files, by name."""
    if not shutil.which("ldd"):
        message = "`ldd` is missing, which says what Python is linked with."
        raise ConfigError(message, fix="Install it: it comes with the C library's programs.")
    command = ["ldd", *map(str, modules)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return {name: Path(place) for name, place in _LINKED.findall(done.stdout)}


def least_glibc(folder: Path) -> str:
    """Return the version of the GNU C library that the files below `folder` ask for, as "2.34"."""
    minors = [
        int(found[1])
        for file in [_python(folder), *folder.rglob("*.so*")]
        for found in _GLIBC.finditer(file.read_bytes())
    ]
    return f"2.{max(minors, default=0)}"
