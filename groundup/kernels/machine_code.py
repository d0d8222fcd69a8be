"""Machine code of the compiled functions, kept in files: a process that finds it there needs
neither numba nor its compiler.

    STEP = MachineCode("groundup.kernels.step", "step")
    STEP(Fixed(weights), x)                 # numbers, numpy arrays, named tuples of them; what does
                                            # not change is taken apart once

At the first call on a machine numba compiles a function, and the object file is kept with its hash
beside Python's own files (`__pycache__`), or in the user's cache; not where another user could have
written it. Of processes that want a function at the same time one compiles it, and the others wait.

llvmlite links the file, and it is called through ctypes, without Python's lock, as numba's functions
call one another (numba's developer documentation, "Numba architecture", and
`numba/core/callconv.py`): two pointers for the result and an error, then the numbers that the
arguments consist of; an array is two pointers to its owner (none), its size, item size, address,
lengths and strides. Hundreds of numbers cost ctypes more than a small model's step takes, so they
are handed over in one piece of memory, from which an entry of ours (`_add_entry`) takes them.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib
import os
import shutil
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeAlias

import llvmlite.binding as llvm
import numpy as np

from groundup.errors import DiskError, GroundupError
from groundup.files import cache_folder, write_bytes
from groundup.locks import written_by_others
from groundup.operating_system import NO_FOLLOW, NO_WAIT, lock

HASH_BYTES = 32
# Of folders: the digest of the files here, then that of the processor.
PREFIX = "compiled-"
BLAS = "scipy.linalg.cython_blas"
# The beginnings of names that only numba has.
OF_NUMBA = ("NRT_", "numba_", "Py")
# Of what is compiled, the function that is called.
ENTRY = "entry"
WITHOUT_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# It frees an array that numba has allocated: there are none.
FREE = "define void @NRT_MemInfo_call_dtor(ptr %owner) { ret void }"


Compiling: TypeAlias = Callable[[], AbstractContextManager[Callable[[], object]]]
"""What goes on while a function is compiled; it gives what is called after each of its parts."""


@contextlib.contextmanager
def _unseen() -> Iterator[Callable[[], object]]:
    yield bool


class UnknownCode(GroundupError):
    """This numba makes something of a function that can't be kept or called this way."""


class Fixed:
    """An argument of many calls, whose arrays stay where they are: a microsecond an array is
    saved.
    """

    def __init__(self, value: Any) -> None:
        self.value = value
        types: list[str] = []
        self.numbers: list[Any] = []
        _take_apart(value, types, self.numbers)
        self.types = " ".join(types)
        self.packed = _pack(self.numbers)


class MachineCode:
    """A compiled function of a module, loaded at its first call."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name
        self.compiling: Compiling = _unseen
        self._loaded: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> None:
        """Raises UnknownCode, and ImportError where numba is needed and can't be loaded."""
        fixed = [each if isinstance(each, Fixed) else Fixed(each) for each in arguments]
        signature = " ".join([each.types for each in fixed])
        function = self._loaded.get(signature)
        if function is None:
            with self._lock:
                function = self._loaded.get(signature) or self._load(signature, fixed)
        status = function(b"".join([each.packed for each in fixed]))
        assert status == 0, (self.name, status)

    def _load(self, signature: str, arguments: Sequence[Fixed]) -> Any:
        folder = code_folder().path
        file = f"{self.name}-{_digest([signature.encode()])}.o"
        code = read_code(folder / file) if folder else None
        if code is None:
            with self.compiling() as done:
                code = self._compiled_once(folder / file if folder else None, arguments, done)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p)
        function: Any = prototype(engine.get_function_address(ENTRY))
        function.engine = engine  # owns the code
        self._loaded[signature] = function
        return function

    def _compiled_once(
        self, file: Path | None, arguments: Sequence[Fixed], done: Callable[[], object]
    ) -> bytes:
        """Of several processes that begin at the same time one compiles, and the others wait."""
        if file is None:
            return _compile(self.module, self.name, arguments, done)
        with _in_turn(file):
            code = read_code(file)
            if code is None:
                code = _compile(self.module, self.name, arguments, done)
                keep_code(file, code)
        return code


@dataclass(frozen=True)
class CodeFolder:
    path: Path | None
    """None: nowhere."""
    note: str = ""
    """Why not where it would be."""


@functools.cache
def code_folder() -> CodeFolder:
    """For the present files of this room and this processor (or the one that numba is told of)."""
    own = Path(__file__).parent
    made_of = [path.read_bytes() for path in sorted(own.glob("*.py"))]
    made_of += [version(name).encode() for name in ("numba", "llvmlite")]
    name = f"{PREFIX}{_digest(made_of)}-{_digest([each.encode() for each in _processor()])}"
    refusals: list[str] = []
    for parent in _parents(own / "__pycache__"):
        reason = written_by_others(parent / name)
        if not reason:
            return CodeFolder(parent / name, " ".join(refusals))
        refusals.append(f"{reason}, so machine code is not kept in {parent}.")
    return CodeFolder(None, " ".join([*refusals, "Each process compiles it anew."]))


def _parents(beside: Path) -> Iterator[Path]:
    """Where machine code may be kept, the first choice first."""
    if os.access(beside if beside.exists() else beside.parent, os.W_OK):
        yield beside
    with contextlib.suppress(DiskError):
        yield cache_folder("compiled-step")


def _digest(parts: Sequence[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def read_code(file: Path) -> bytes | None:
    """None where it is missing, damaged, or another user could have written it."""
    try:
        handle = os.fdopen(os.open(file, os.O_RDONLY | NO_FOLLOW | NO_WAIT), "rb")
    except OSError:
        return None
    with handle:
        if not S_ISREG(os.fstat(handle.fileno()).st_mode) or written_by_others(file):
            return None
        found = handle.read()
    code = found[HASH_BYTES:]
    return code if code and hashlib.sha256(code).digest() == found[:HASH_BYTES] else None


def keep_code(file: Path, code: bytes) -> None:
    """With its hash; remove the code of older files. Where that fails it is compiled again next
    time.
    """
    with contextlib.suppress(DiskError, OSError):
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_bytes(file, hashlib.sha256(code).digest() + code, mode=0o644)
        if file.parent.parent.name == "__pycache__":
            ours = file.parent.name.rpartition("-")[0]
            for old in file.parent.parent.glob(f"{PREFIX}*"):
                if not old.name.startswith(ours):
                    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _in_turn(file: Path) -> Iterator[None]:
    """Hold the lock of a file of code, made empty if missing, after those who have it now; at once
    where there are no locks or nothing can be kept.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            opened = os.open(file, os.O_RDONLY | os.O_CREAT | NO_FOLLOW | NO_WAIT, 0o644)
            held.callback(os.close, opened)
            lock(opened, wait=True)
        yield


def _take_apart(value: Any, types: list[str], numbers: list[Any]) -> None:
    """Add the type of a value, and the numbers that it consists of."""
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous and value.flags.aligned, value.strides
        types.append(f"{value.dtype.str}{value.ndim}")
        numbers += (0, 0, value.size, value.itemsize, _address(value), *value.shape, *value.strides)
    elif isinstance(value, tuple):
        types.append(f"({len(value)}")
        for each in value:
            _take_apart(each, types, numbers)
    else:
        types.append("f" if isinstance(value, float) else "i")
        numbers.append(value)


def _pack(numbers: Sequence[Any]) -> bytes:
    kinds = "".join(["d" if isinstance(each, float) else "q" for each in numbers])
    return struct.pack(f"={kinds}", *numbers)


def _address(array: np.ndarray) -> int:
    """`array.ctypes` takes three times as long."""
    if array.size and array.flags.writeable:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    return int(array.ctypes.data)


def _compile(
    module: str, name: str, arguments: Sequence[Fixed], done: Callable[[], object] = bool
) -> bytes:
    """The object file of a function for arguments of these types. `done` is called as it and each
    function that it calls are compiled.
    """
    numba = _import_numba()
    from groundup.kernels.products import OPTIONS

    plain = getattr(importlib.import_module(module), name).py_func
    made = numba.njit(**OPTIONS, **WITHOUT_WRAPPERS)(plain)
    with _parts_without_wrappers(), _following(done):
        made.compile(tuple(numba.typeof(each.value) for each in arguments))
        code = llvm.parse_assembly(made.inspect_llvm(made.signatures[0]))
    _add_entry(code, name, [number for each in arguments for number in each.numbers])
    code.link_in(llvm.parse_assembly(FREE))
    needed = [
        each.name
        for each in code.functions
        if each.is_declaration and each.name.startswith(OF_NUMBA)
    ]
    if needed:
        raise UnknownCode(
            f"numba {version('numba')} compiles {name} to code that needs its {needed[0]}."
        )
    object_file: bytes = _target_machine().emit_object(code)
    return object_file


@contextlib.contextmanager
def _parts_without_wrappers() -> Iterator[None]:
    """Python calls the outermost function alone, and numba's way into each of the others takes a
    third of the time. They are forgotten after it: a call from Python would crash.
    """
    from groundup.kernels.products import COMPILED

    new = [each for each in COMPILED if not each.overloads and hasattr(each, "_reset_overloads")]
    for each in new:
        each.targetoptions |= WITHOUT_WRAPPERS
    try:
        yield
    finally:
        for each in new:
            for name in WITHOUT_WRAPPERS:
                del each.targetoptions[name]
            each._make_finalizer()()
            each._reset_overloads()


def _following(done: Callable[[], object]) -> AbstractContextManager[object]:
    """Call `done` after each function that numba compiles meanwhile."""
    event = importlib.import_module("numba.core.event")

    class Compiled(event.Listener):  # type: ignore[name-defined]
        def on_start(self, started: Any) -> None:
            pass

        def on_end(self, ended: Any) -> None:
            done()

    found: AbstractContextManager[object] = event.install_listener("numba:compile", Compiled())
    return found


def _add_entry(code: Any, name: str, numbers: Sequence[Any]) -> None:
    """A function ENTRY that takes the numbers from memory. Raises UnknownCode where numba's own
    does not take two pointers and these numbers.
    """
    found = [
        each
        for each in code.functions
        if not each.is_declaration and each.linkage == llvm.Linkage.external
    ]
    taken = [str(each.type) for function in found for each in function.arguments]
    if [each.replace("ptr", "i64") for each in taken] != [
        "i64",
        "i64",
        *("double" if isinstance(each, float) else "i64" for each in numbers),
    ]:
        raise UnknownCode(f"numba {version('numba')} calls its functions in another way.")
    found[0].name = name
    loads = "".join(
        f"%p{place} = getelementptr i64, ptr %numbers, i64 {place}\n"
        f"%n{place} = load {kind}, ptr %p{place}, align 1\n"
        for place, kind in enumerate(taken[2:])
    )
    given = "".join(f", {kind} %n{place}" for place, kind in enumerate(taken[2:]))
    entry = (
        f"declare i32 @{name}({', '.join(taken)})\n"
        f"define i32 @{ENTRY}(ptr %numbers) {{\n"
        f"%result = alloca ptr\n%error = alloca ptr\n{loads}"
        f"%status = call i32 @{name}(ptr %result, ptr %error{given})\nret i32 %status\n}}"
    )
    code.link_in(llvm.parse_assembly(entry))


def _import_numba() -> Any:
    """Without scipy's linear algebra, which it only looks for (0.2 s, 10 MB)."""
    hidden = BLAS not in sys.modules
    if hidden:
        sys.modules[BLAS] = None  # type: ignore[assignment]
    try:
        importlib.import_module("numba.np.arraymath")
        return importlib.import_module("numba")
    finally:
        if hidden:
            del sys.modules[BLAS]


def _processor() -> tuple[str, str]:
    """Name and instruction sets, or those that numba was told to use."""
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    return name or llvm.get_host_cpu_name(), features or llvm.get_host_cpu_features().flatten()


def _target_machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = _processor()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(name, features, 3, codemodel="jitdefault", jit=True)
