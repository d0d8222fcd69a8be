"""What Linux, macOS and Windows do differently: locks, rights of files, files that are replaced while
they are open, limits and memory of processes. Modules and calls that one of them lacks are used here
alone (tests/test_architecture.py); each has a form for Windows, or says that it has none
(docs/howto/systems.md).

The module that a system has decides, not the system's name: where `fcntl` is missing, `msvcrt` locks.
"""

import ctypes
import errno
import importlib
import os
import re
import secrets
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def _module(name: str) -> Any:
    """None where the system lacks it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl, grp, pwd, resource = map(_module, ("fcntl", "grp", "pwd", "resource"))
msvcrt, winapi = map(_module, ("msvcrt", "_winapi"))

IS_WINDOWS = fcntl is None
"""Files have no owner's number and no bits of rights there, and an open file can't be replaced."""
# Flags of os.open: no link is followed; bytes stay as they are.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
AS_BYTES = getattr(os, "O_BINARY", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)
CPU_SIGNAL: int = getattr(signal, "SIGPROF", 0)
"""What ends a process whose processor time is used up (`limit_cpu`); 0: nothing does."""

# Windows locks bytes of a file, each for one: who reads locks one of these, who writes all of them.
LOCKED_BYTES, LOCK_TRIES = 2**16, 8
_STAND_INS = "groundup-locks"
_POLL_S = 0.02
# For how long a file is replaced again where another program, as a virus scanner, has it open.
_REPLACE_S = 2.0
# Of processes on Windows: the right to ask for the exit code, and the code of one that runs.
_QUERY, _STILL_ACTIVE = 0x1000, 259


def open_for_lock(path: Path) -> int:
    """Return a descriptor by which a file or folder is locked (`lock`).

    Windows opens no folder, and renames nothing that is open: there an empty file in the user's folder
    of temporary files stands for it, by the number that it has on its disk whatever it is called.
    Raises OSError.
    """
    if not IS_WINDOWS:
        return os.open(path, os.O_RDONLY)
    found = path.stat()
    folder = Path(tempfile.gettempdir(), _STAND_INS)
    folder.mkdir(exist_ok=True)
    return os.open(folder / f"{found.st_dev:x}-{found.st_ino:x}", os.O_RDWR | os.O_CREAT)


def lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> None:
    """Lock an open file until it is closed, against all who don't share it.

    Raises BlockingIOError where it is locked and this does not `wait`, OSError on a disk without locks.
    """
    if fcntl is not None:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
        return
    if msvcrt is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    while not _lock_bytes(descriptor, shared):
        if not wait:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        time.sleep(_POLL_S)


def _lock_bytes(descriptor: int, shared: bool) -> bool:
    begins, count = [0], LOCKED_BYTES
    if shared:
        begins, count = [secrets.randbelow(LOCKED_BYTES) for _ in range(LOCK_TRIES)], 1
    for begin in begins:
        os.lseek(descriptor, begin, os.SEEK_SET)
        with suppress(PermissionError):
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, count)
            return True
    return False


def replace(source: Path, target: Path) -> None:
    """Rename a file over another one, or a folder to a name that is free.

    Windows refuses while either is open or mapped: it is tried again for some moments, in which a virus
    scanner is done. Raises OSError.
    """
    last = time.monotonic() + _REPLACE_S
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if not IS_WINDOWS or time.monotonic() > last:
                raise
        time.sleep(_POLL_S)


def place_new(source: Path, target: Path) -> None:
    """Give a file a further or another name that nothing has. Raises FileExistsError, OSError."""
    if IS_WINDOWS:
        os.rename(source, target)  # refuses there what exists
    else:
        os.link(source, target)


def sync_folder(path: Path) -> None:
    """Force a folder's entries (a rename in it) to the disk; Windows has no call for it."""
    if IS_WINDOWS:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def belongs_to_another(found: os.stat_result) -> bool:
    """Whether a file is neither this user's nor root's; always False on Windows."""
    return not IS_WINDOWS and found.st_uid not in (0, os.geteuid())


def is_own_group(gid: int) -> bool:
    """Whether a group is this user's, or root's, alone."""
    try:
        group, names = grp.getgrgid(gid), {pwd.getpwuid(uid).pw_name for uid in (0, os.geteuid())}
    except KeyError:
        return False
    return group.gr_name in names and set(group.gr_mem) <= names


def is_running(pid: int) -> bool:
    """Whether there is a process with this id, whoever has started it."""
    if winapi is not None:  # os.kill(pid, 0) would send it a Ctrl-C there
        try:
            handle = winapi.OpenProcess(_QUERY, False, pid)
        except OSError as error:
            return isinstance(error, PermissionError)
        try:
            return bool(winapi.GetExitCodeProcess(handle) == _STILL_ACTIVE)
        finally:
            winapi.CloseHandle(handle)
    try:
        os.kill(pid, 0)  # signal 0 only tests
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs as another user
        pass
    return True


def has_parent(pid: int) -> bool:
    """Whether the process that has started this one, with this id, is still there."""
    return is_running(pid) if IS_WINDOWS else os.getppid() == pid


def wait_for_output(pipe: int, seconds: float) -> bool:
    """Wait until a pipe can be read or has ended; return whether that is so."""
    if winapi is None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            return bool(selector.select(seconds))
    last, handle = time.monotonic() + seconds, msvcrt.get_osfhandle(pipe)
    while True:
        try:
            if winapi.PeekNamedPipe(handle, 0)[0]:
                return True
        except BrokenPipeError:  # its end
            return True
        if time.monotonic() > last:
            return False
        time.sleep(_POLL_S)


def limit_memory(memory_bytes: int) -> bool:
    """Limit this process's address space, and forbid it to write files; return whether the system
    keeps the first limit.
    """
    if resource is None:
        return False
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        return sys.platform != "darwin"
    return False


def limit_cpu(seconds: float) -> bool:
    """End this process by CPU_SIGNAL, even inside C code, when it has taken so many seconds more of
    processor time (0: no longer); return whether the system does that.
    """
    if not CPU_SIGNAL:
        return False
    signal.setitimer(signal.ITIMER_PROF, seconds)
    return True


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_memory_bytes() -> int:
    if IS_WINDOWS:
        return int(_filled(_MachineMemory(), _kernel().GlobalMemoryStatusEx).total)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_memory_bytes() -> int | None:
    """None where the system does not report it."""
    if IS_WINDOWS:
        return int(_filled(_MachineMemory(), _kernel().GlobalMemoryStatusEx).available)
    return proc_bytes("meminfo", "MemAvailable")


def proc_bytes(file: str, name: str) -> int | None:
    """Return a size that Linux reports below /proc; None on other systems."""
    path = Path("/proc", file)
    if not path.exists():
        return None
    found = re.search(rf"{name}:\s+(\d+) kB", path.read_text(encoding="utf-8", errors="replace"))
    return found and int(found[1]) * 1024


def peak_memory_bytes() -> int:
    """Return the largest amount of memory that this process had at any time.

    Linux's `getrusage` counts what its parent had when it started it; /proc does not. Elsewhere
    there is no /proc.
    """
    if resource is None:
        return int(_process_memory().peak)
    with suppress(OSError), open("/proc/self/status", "rb") as status:
        return next(int(line.split()[1]) * 2**10 for line in status if line.startswith(b"VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 2**10


def _words(*names: str, of: type = ctypes.c_size_t) -> list[tuple[str, type]]:
    return [(name, of) for name in names]


class _ProcessMemory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of Windows (psapi.h)."""

    _fields_ = [
        *_words("size", "faults", of=ctypes.c_uint32),
        *_words("peak", "now", "peak_paged", "paged", "peak_nonpaged", "nonpaged"),
        *_words("committed", "peak_committed"),
    ]


class _MachineMemory(ctypes.Structure):
    """MEMORYSTATUSEX of Windows (sysinfoapi.h)."""

    _fields_ = [
        *_words("size", "load", of=ctypes.c_uint32),
        *_words("total", "available", "total_pages", "available_pages", of=ctypes.c_uint64),
        *_words("total_virtual", "available_virtual", "extended", of=ctypes.c_uint64),
    ]


def _process_memory() -> Any:
    this_process = ctypes.c_void_p(-1)

    def ask(place: Any) -> Any:
        size = ctypes.c_uint32(ctypes.sizeof(_ProcessMemory))
        return _kernel().K32GetProcessMemoryInfo(this_process, place, size)

    return _filled(_ProcessMemory(), ask)


def _filled(table: Any, ask: Callable[[Any], Any]) -> Any:
    """Have Windows fill in a structure that begins with its size. Raises OSError."""
    table.size = ctypes.sizeof(table)
    if not ask(ctypes.byref(table)):
        raise OSError(errno.ENOSYS, "Windows does not say how much memory there is")
    return table


def _kernel() -> Any:
    return ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]


def processor_line(*names: str) -> str:
    """Return the first line of Linux's description of a CPU that begins so; "" elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as handle:
            return next((line for line in handle if line.startswith(names)), "")
    except OSError:
        return ""


def may_have_gpu() -> bool:
    """Whether there is one that torch may compute on, as far as can be told without it."""
    devices = ("nvidiactl", "nvidia0", "kfd", "dxg")
    return not sys.platform.startswith("linux") or any(
        os.path.exists(f"/dev/{name}") for name in devices
    )


def release_memory() -> None:
    """Return memory that is no longer used to the system, where the C library has a call for it
    (glibc, which keeps much otherwise).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
