"""The suite with groundup on Windows, as far as Linux can play it: `make test-windows TESTS=tests/ground`.

Python imports this when it starts and finds it on PYTHONPATH, so it holds in the suite's processes and in those that they start.
`simulated_windows.install()` changes a whole process; here tests and libraries stay on Linux, and what groundup's own modules import and
call is Windows': no POSIX module, function or signal, os.name and sys.platform, no /proc, text in cp1252 with line ends of two bytes,
nothing replaced or removed that is open. docs/howto/systems.md says what fails so.
"""

import builtins
import contextlib
import ctypes
import errno
import importlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))
import simulated_windows as simulated

MORE_FUNCTIONS = (
    *("statvfs", "fstatvfs", "sysconf", "uname", "wait", "wait3", "wait4", "waitid", "posix_spawn"),
    *("getgroups", "initgroups", "setuid", "setgid", "setpgid", "ttyname", "mknod", "sync"),
)
MORE_SIGNALS = ("SIGKILL", "SIGCHLD", "SIGPIPE", "SIGSTOP", "SIGCONT", "SIGXCPU", "pthread_kill")
# What groundup calls files by.
BETWEEN = {
    *("pathlib", "genericpath", "posixpath", "glob", "shutil", "tempfile"),
    *("contextlib", "functools", "io", "os", __name__),
}


class Played(types.ModuleType):
    """A module as groundup has it: some names are missing, some others; all else, also what is set, is the real one's."""

    def __init__(self, real: types.ModuleType, missing: tuple[str, ...], **others: Any) -> None:
        vars(self).update(_real=real, _missing=frozenset(missing), **others)

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(f"module {self._real.__name__!r} has no attribute {name!r}")
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._real, name)


def by_groundup() -> bool:
    """Whether a function was called by groundup, by way of the standard library or at once."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") in BETWEEN:
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None and _is_groundup(frame.f_globals)


def _is_groundup(names: Any) -> bool:
    return str((names or {}).get("__name__")).partition(".")[0] == "groundup"


def require_free(*paths: Any) -> None:
    """Raises PermissionError for what this process has open or mapped."""
    for path in map(os.path.realpath, paths):
        if any(used == path or used.startswith(path + os.sep) for used in simulated.in_use()):
            raise PermissionError(errno.EACCES, "It is used by a process", path)


def play() -> None:
    """Raises nothing: it is called once, before anything of groundup is imported."""
    real_kill = os.kill
    simulated._add_windows()
    new = {name: sys.modules.pop(name) for name in ("msvcrt", "_winapi")}
    kill, os.kill = os.kill, real_kill
    import_module = importlib.import_module

    def imported(name: str, package: str | None = None) -> types.ModuleType:
        if name in simulated.MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return new.get(name) or import_module(name, package)

    missing = (*simulated.FUNCTIONS, *MORE_FUNCTIONS)
    played = {
        "os": Played(os, missing, name="nt", kill=kill, open=_open_no_folder),
        "sys": Played(sys, (), platform="win32"),
        "signal": Played(signal, (*simulated.SIGNALS, *MORE_SIGNALS)),
        "ctypes": Played(ctypes, (), WinDLL=lambda name: simulated._Kernel),
        "importlib": Played(importlib, (), import_module=imported),
    }
    import_ = builtins.__import__

    def import_played(name: str, globals: Any = None, *rest: Any, **options: Any) -> Any:
        if not _is_groundup(globals):
            return import_(name, globals, *rest, **options)
        if name in simulated.MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        found = import_(name, globals, *rest, **options)
        return played.get(getattr(found, "__name__", ""), found)

    builtins.__import__ = import_played
    _play_files()
    _hand_on()


def _open_no_folder(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return os.open(path, flags, mode, **options)


def _play_files() -> None:
    """Only for groundup: tests open, rename and remove as on Linux."""
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    _play_numbers()

    def kept(name: str, *, both: bool) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(path: Any, *rest: Any, **options: Any) -> Any:
            if by_groundup():
                require_free(path, *(rest[:1] if both else ()))
                if name == "rename" and os.path.lexists(rest[0]):
                    raise FileExistsError(errno.EEXIST, "It exists", str(rest[0]))
            return real(path, *rest, **options)

        return call

    for name in ("replace", "rename", "unlink", "remove", "rmdir"):
        setattr(os, name, kept(name, both=name == "replace"))
    for name in ("stat", "lstat", "scandir", "listdir"):
        setattr(os, name, _without_proc(getattr(os, name)))
    symlink = os.symlink

    def linked(*names: Any, **options: Any) -> None:
        if by_groundup():
            raise PermissionError(errno.EPERM, "A required privilege is not held", str(names[1]))
        symlink(*names, **options)

    os.symlink = linked
    _play_home()
    open_ = io.open

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: Any = None,
        errors: Any = None,
        newline: Any = None,
        *rest: Any,
        **options: Any,
    ) -> Any:
        ours = by_groundup()
        if ours:
            _require_no_proc(file)
        if ours and "b" not in mode:
            if encoding in (None, "locale"):
                encoding = "cp1252"
            if newline is None and set(mode) & set("wax+"):
                newline = "\r\n"
        return open_(file, mode, buffering, encoding, errors, newline, *rest, **options)

    io.open = opened  # type: ignore[assignment]
    builtins.open = opened  # type: ignore[assignment]


def _play_numbers() -> None:
    """No folder has the number of a removed one, whose lock is still held; Linux gives it again."""
    make, stat, unlink = os.mkdir, os.stat, os.unlink

    def made(path: Any, *rest: Any, dir_fd: Any = None) -> None:
        make(path, *rest, dir_fd=dir_fd)
        with contextlib.suppress(OSError):
            new = stat(path, dir_fd=dir_fd)
            locks = Path(tempfile.gettempdir(), "groundup-locks")
            unlink(locks / f"{new.st_dev:x}-{new.st_ino:x}")

    os.mkdir = made
    os.supports_dir_fd.add(made)


def _play_home() -> None:
    """The folder of temporary files is inside the user's folder, as on Windows."""
    home, real = Path.home(), Path.home

    def of_groundup() -> Path:
        found = real()  # a test can have set another one
        return Path(tempfile.gettempdir()) if found == home and by_groundup() else found

    Path.home = of_groundup  # type: ignore[method-assign, assignment]


def _require_no_proc(path: Any) -> None:
    if not isinstance(path, int) and Path(os.fsdecode(path)).parts[:2] == ("/", "proc"):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))


def _without_proc(real: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any = ".", *rest: Any, **options: Any) -> Any:
        if str(path).startswith("/proc") and by_groundup():
            _require_no_proc(path)
        return real(path, *rest, **options)

    for known in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if real in known:
            known.add(call)
    return call


def _hand_on() -> None:
    """Also to processes that begin in another folder, or with an environment of their own."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, filter(None, folders)))
    begin = subprocess.Popen.__init__

    def begun(self: Any, *words: Any, env: Any = None, **options: Any) -> None:
        if env is not None:
            folders = [str(Path(__file__).parent), env.get("PYTHONPATH", "")]
            env = {**env, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
        begin(self, *words, env=env, **options)

    subprocess.Popen.__init__ = begun  # type: ignore[method-assign]


play()
