"""Windows, as far as Linux can play it: `install()` in a new process, before groundup is imported.

Modules that Windows lacks can't be imported by it, functions of `os` and `signal` that it lacks are gone; `msvcrt` and `_winapi` are there with what
groundup calls. A file that is open or mapped is neither renamed, replaced nor removed; a folder is not opened; text without an encoding is
cp1252, and its line ends are two bytes. What this can't show: Windows' own paths, consoles, signals, rights of files, and every library.
"""

import array
import builtins
import contextlib
import errno
import importlib
import io
import os
import select
import shutil
import signal
import struct
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

MODULES = (
    "fcntl",
    "grp",
    "pwd",
    "resource",
    "termios",
    "tty",
    "pty",
    "curses",
    "readline",
    "syslog",
)
FUNCTIONS = (
    *(
        "fork",
        "forkpty",
        "killpg",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "getpgid",
        "getpgrp",
        "setsid",
    ),
    *(
        "sched_getaffinity",
        "sched_setaffinity",
        "mkfifo",
        "chown",
        "lchown",
        "fchown",
    ),
    *("getloadavg", "nice", "pread", "pwrite", "preadv", "pwritev", "sendfile", "openpty"),
    *("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY"),
)
SIGNALS = (
    "SIGALRM",
    "SIGPROF",
    "SIGHUP",
    "SIGQUIT",
    "SIGUSR1",
    "SIGUSR2",
    "setitimer",
    "getitimer",
    "alarm",
    "pause",
)
# A process that groundup starts plays it, too.
BEGIN = "import simulated_windows; simulated_windows.install(children=False); "


def install(*, children: bool = True) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "groundup"]:
        del sys.modules[name]
    os.environ.setdefault("USERNAME", "windows")
    _add_windows()
    hidden = {name: sys.modules.get(name) for name in MODULES}
    sys.modules.update(dict.fromkeys(MODULES))  # type: ignore[arg-type]  (None: ImportError)
    for place, names in ((os, FUNCTIONS), (signal, SIGNALS)):
        for name in names:
            if hasattr(place, name):
                delattr(place, name)
    _keep_open_files()
    _default_text()
    importlib.import_module("groundup.operating_system")._kernel = _Kernel
    del (
        sys.modules["_winapi"],
        sys.modules["msvcrt"],
    )  # Python's own modules would take this for Windows
    for name, module in hidden.items():  # libraries choose by the system's name
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module
    import_ = builtins.__import__

    def imported(name: str, globals: Any = None, *rest: Any, **options: Any) -> Any:
        if name in MODULES and str((globals or {}).get("__name__")).startswith("groundup"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return import_(name, globals, *rest, **options)

    builtins.__import__ = imported
    programs = {
        "groundup.limited_process": "_PROGRAM",
        "groundup.data.runners.processes": "PROGRAM",
    }
    for name, constant in programs.items() if children else ():
        module = importlib.import_module(name)
        first, path, rest = getattr(module, constant).split("; ", 2)
        setattr(module, constant, f"{first}; {path}; {BEGIN}{rest}")


def _add_windows() -> None:
    import fcntl
    import termios

    kill = os.kill

    def locking(descriptor: int, mode: int, count: int) -> None:
        begin = os.lseek(descriptor, 0, os.SEEK_CUR)
        asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, begin, count, 0)
        try:
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Linux writes no such lock
            else:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, asked)
        except OSError as error:
            raise PermissionError(errno.EACCES, "Permission denied") from error

    def peek(handle: int, size: int) -> tuple[int, int]:
        waiting = array.array("i", [0])
        fcntl.ioctl(handle, termios.FIONREAD, waiting)
        asked = select.poll()
        asked.register(handle, select.POLLIN)
        if not waiting[0] and any(event & select.POLLHUP for _, event in asked.poll(0)):
            raise BrokenPipeError(errno.EPIPE, "The pipe has been ended")
        return waiting[0], 0

    def open_process(rights: int, inherited: bool, pid: int) -> int:
        try:
            kill(pid, 0)
        except ProcessLookupError as error:
            raise OSError(errno.EINVAL, "The parameter is incorrect") from error
        return pid

    def exit_code(handle: int) -> int:
        stat = Path(f"/proc/{handle}/stat").read_text(encoding="ascii", errors="replace")
        has_ended = stat.rpartition(")")[2].split()[0] == "Z"  # nobody has asked how
        return 0 if has_ended else 259

    def no_test(pid: int, number: int) -> None:
        assert number, "os.kill(pid, 0) is a Ctrl-C on Windows"
        kill(pid, number)

    os.kill = no_test  # type: ignore[assignment]
    msvcrt, winapi = types.ModuleType("msvcrt"), types.ModuleType("_winapi")
    vars(msvcrt).update(locking=locking, LK_NBLCK=2, get_osfhandle=lambda descriptor: descriptor)
    vars(winapi).update(
        PeekNamedPipe=peek,
        OpenProcess=open_process,
        GetExitCodeProcess=exit_code,
        CloseHandle=lambda handle: None,
    )
    sys.modules.update(msvcrt=msvcrt, _winapi=winapi)


class _Kernel:
    @staticmethod
    def GlobalMemoryStatusEx(place: Any) -> int:  # noqa: N802
        assert place._obj.size == 64
        place._obj.total, place._obj.available = 8 * 2**30, 4 * 2**30
        return 1

    @staticmethod
    def K32GetProcessMemoryInfo(process: Any, place: Any, size: Any) -> int:  # noqa: N802
        assert place._obj.size == size.value == 72
        text = Path("/proc/self/status").read_text(encoding="ascii")
        place._obj.peak = int(text.split("VmHWM:")[1].split()[0]) * 2**10
        return 1


def in_use() -> set[str]:
    """The files that this process has open or mapped."""
    found = set()
    for entry in os.scandir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(entry.path))
    with io.FileIO("/proc/self/maps") as maps:
        lines = maps.readall().splitlines()  # its lines one by one are read byte by byte
    paths = {line[line.index(b"/") :] for line in lines if b"/" in line}
    return found | set(map(os.fsdecode, paths))


def _keep_open_files() -> None:
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    replace, rename, unlink, rmdir, open_ = os.replace, os.rename, os.unlink, os.rmdir, os.open

    of_tempfile = tempfile.gettempdir()

    def require_free(*paths: Any) -> None:
        for path in map(os.path.realpath, paths):
            if os.path.dirname(path) == of_tempfile:  # tempfile opens its files so that it can
                continue
            if any(used == path or used.startswith(path + os.sep) for used in in_use()):
                raise PermissionError(errno.EACCES, "It is used by a process", path)

    def replaced(source: Any, target: Any, **options: Any) -> None:
        require_free(source, target)
        replace(source, target, **options)

    def renamed(source: Any, target: Any, **options: Any) -> None:
        require_free(source)
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "It exists", str(target))
        rename(source, target, **options)

    def removed(path: Any, **options: Any) -> None:
        require_free(path)
        unlink(path, **options)

    def opened(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_(path, flags, mode, **options)

    os.replace, os.rename, os.unlink, os.remove, os.open = (
        replaced,
        renamed,
        removed,
        removed,
        opened,
    )
    os.rmdir = lambda path, **options: (require_free(path), rmdir(path, **options))[1]  # type: ignore[assignment]


def _default_text() -> None:
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
        if "b" not in mode:
            encoding = "cp1252" if encoding in (None, "locale") else encoding
            if newline is None and set(mode) & set("wax+"):
                newline = "\r\n"
        return open_(file, mode, buffering, encoding, errors, newline, *rest, **options)

    io.open = opened  # type: ignore[assignment]
    builtins.open = opened  # type: ignore[assignment]
