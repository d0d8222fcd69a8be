"""The order of the house: imports point right, never left; late imports count too.

The order stands here alone. `python tests/test_architecture.py` writes it into the pages that show it, and a test compares them.
"""

import ast
import functools
import gc
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import groundup
from groundup.cli.doctor import EXTRAS

ROOT = Path(groundup.__file__).parent
# Left may import right. Rooms of one row do not import one another.
ORDER = [
    ("cli",),
    ("bundle",),
    ("api", "course"),
    ("recipes", "research"),
    ("report", "planning", "finetune", "integrations"),
    ("serve", "train"),
    ("lab", "retrieve", "evaluate"),
    ("engine",),
    ("data", "weights"),
    ("kernels", "tokenizer", "runs", "packs"),
    ("actions",),
    ("http", "model"),
    ("config", "device", "fetch"),
    ("cache",),
    ("locks", "migrations", "offline"),
    (
        "progress",
        "files",
        "html_nodes",
        "threads",
        "palette",
        "limited_process",
        "garbage_collection",
        "language",
        "risk",
    ),
    ("operating_system",),
    ("errors",),
]
MAX_LONG_LINES, MAX_CONDITIONAL = 4, 6  # per 1,000 lines
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 500, 60, 9
MAX_ANY_RESULTS = 51  # functions that return dict[str, Any]
RANK = {room: rank for rank, row in enumerate(ORDER) for room in row}
MODEL_MAY_IMPORT = {"torch", "jaxtyping", "groundup.errors", "groundup.model"}
# What a system lacks that groundup runs on; where it is used, a form for that system stands beside it.
SYSTEM_FILE = ROOT / "operating_system.py"
MODULES_OF_SOME_SYSTEMS = {
    *("fcntl", "grp", "pwd", "resource", "select", "selectors", "termios", "tty", "pty", "posix"),
    *("curses", "syslog", "crypt", "spwd", "nis", "ossaudiodev"),
    *("msvcrt", "winreg", "winsound", "_winapi", "nt"),
}
NAMES_OF_SOME_SYSTEMS = {
    "os": {
        *("fork", "forkpty", "kill", "killpg", "getuid", "geteuid", "getgid", "getegid", "getpgid"),
        *("setsid", "setpgid", "setuid", "setgid", "initgroups", "getgroups", "mkfifo"),
        *("chown", "lchown", "fchown", "fchmod", "uname", "getloadavg", "nice", "sysconf"),
        *("statvfs", "pread", "pwrite", "preadv", "pwritev", "sendfile", "openpty", "ttyname"),
        *(
            "sched_getaffinity",
            "sched_setaffinity",
            "wait",
            "wait3",
            "wait4",
            "waitid",
            "startfile",
        ),
        *("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "O_BINARY", "posix_spawn"),
    },
    "signal": {
        *("SIGKILL", "SIGHUP", "SIGALRM", "SIGPROF", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCHLD"),
        *("SIGPIPE", "SIGWINCH", "SIGTSTP", "SIGCONT", "setitimer", "getitimer", "alarm", "pause"),
        *("pthread_kill", "pthread_sigmask", "sigwait", "SIGBREAK", "CTRL_C_EVENT"),
    },
    "socket": {"AF_UNIX", "send_fds", "recv_fds"},
}
# Arguments of subprocess.
ARGUMENTS_OF_SOME_SYSTEMS = {
    *("preexec_fn", "pass_fds", "start_new_session", "umask", "creationflags")
}
# Imported late, by who has asked for the extra.
WITH_EXTRAS = (
    *("groundup.http.", "groundup.serve.", "groundup.integrations.", "groundup.kernels."),
    *("groundup.actions.mcp_", "groundup.evaluate.llamacpp_server"),
)
# Packages that come with an extra's.
NOT_LISTED = {"h11", "anyio", "llvmlite", "scipy", "lxml"}
STANDARD_LIBRARY = set(__import__("sys").stdlib_module_names)
FILES = sorted(ROOT.rglob("*.py"))


PAGES = [ROOT / "__init__.py", ROOT.parent / "docs" / "tour.md"]
SHOWN_ORDER = re.compile(r"^    cli > (?:.*\n)+?.*> errors$", re.MULTILINE)


def shown_order() -> str:
    """The order as the pages show it: two lines and more, each indented by four."""
    text = " > ".join(", ".join(row) for row in ORDER)
    lines = textwrap.wrap(
        text, 100, initial_indent=" " * 4, subsequent_indent=" " * 8, break_on_hyphens=False
    )
    return "\n".join(lines)


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


@functools.cache
def imports_of(path: Path) -> set[str]:
    """Every module named in an import statement of a file, late ones too."""
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "groundup"
                else set()
            )
    return names


@functools.cache
def names_of(path: Path) -> set[str]:
    """Every module that an import statement may name: `from a import b` may mean the file a/b.py."""
    froms = [node for node in nodes_of(path) if isinstance(node, ast.ImportFrom)]
    return imports_of(path) | {
        f"{node.module}.{alias.name}" for node in froms for alias in node.names
    }


@pytest.fixture(autouse=True, scope="module")
def trees() -> Iterator[None]:
    """Half a million nodes: each collection of garbage would look through them, in later tests, too."""
    gc.disable()
    yield
    for cached in (tree_of, nodes_of, imports_of, names_of):
        cached.cache_clear()
    gc.enable()


def own_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("groundup.")} - {
        "__version__"
    }


def begins_with(path: Path) -> set[str]:
    """What is imported when a file is, late and type-only imports left out."""
    return {
        name
        for node in tree_of(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        )
    }


def test_a_missing_extra_stops_no_module_that_is_used_without_it() -> None:
    """Of an extra's packages, those that stand where a file begins: then `require_extra` comes too late, unless who imports the file asked before."""
    extras = {module for modules in EXTRAS.values() for module in modules} | NOT_LISTED
    files = {
        ".".join(["groundup", *path.relative_to(ROOT).with_suffix("").parts]): path
        for path in FILES
    }
    needing = {
        name
        for name, path in files.items()
        if {each.split(".")[0] for each in begins_with(path)} & extras
    }
    while True:
        more = {name for name, path in files.items() if begins_with(path) & needing} - needing
        if not more:
            break
        needing |= more
    elsewhere = {name for name in needing if not name.startswith(tuple(WITH_EXTRAS))}
    assert not elsewhere


def test_imports_point_right() -> None:
    wrong = {
        f"{path}: {room} may not import {other}"
        for path in FILES
        if (room := room_of(path)) not in ("__init__", "__main__")
        for other in own_rooms(path) - {room}
        if RANK[room] >= RANK[other]
    }
    assert not wrong


def test_no_circle_between_files_with_late_and_type_only_imports() -> None:
    files = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in FILES}
    graph = {name: names_of(path) & files.keys() for name, path in files.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_show_the_order_that_is_checked(page: Path) -> None:
    shown = [found[0] for found in SHOWN_ORDER.finditer(page.read_text())]
    assert shown == [shown_order()], "write it: python tests/test_architecture.py"


def test_no_circle_between_folders_of_a_room() -> None:
    files = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in FILES}
    graph: dict[Path, set[Path]] = {}
    for path in FILES:
        imported = {files[name].parent for name in names_of(path) & files.keys()}
        graph.setdefault(path.parent, set()).update(imported - {path.parent, ROOT})
    del graph[ROOT]  # its files are rooms of their own
    TopologicalSorter(graph).prepare()


def test_no_class_name_stands_twice() -> None:
    names = [
        node.name for path in FILES for node in nodes_of(path) if isinstance(node, ast.ClassDef)
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_lines_stay_calm() -> None:
    """What was reached: lines above 100 characters, and conditional expressions, per 1,000 lines."""
    lines = [line for path in FILES for line in path.read_text().splitlines()]
    conditional = sum(isinstance(node, ast.IfExp) for path in FILES for node in nodes_of(path))
    assert sum(len(line) > 100 for line in lines) * 1000 <= MAX_LONG_LINES * len(lines)
    assert conditional * 1000 <= MAX_CONDITIONAL * len(lines)


def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in nodes_of(path) if isinstance(node, kinds)]


def test_files_stay_short() -> None:
    lines = {str(path): len(path.read_text().splitlines()) for path in FILES}
    assert not {path: count for path, count in lines.items() if count > MAX_FILE_LINES}


def test_functions_and_signatures_stay_short() -> None:
    """But for the commands of `cli`, whose parameters are options and whose docstrings are help."""
    functions = [
        (path, function)
        for path in FILES
        if room_of(path) != "cli"
        for function in functions_of(path)
    ]
    for path, function in functions:
        given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        parameters = [each.arg for each in given if each.arg not in ("self", "cls")]
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MAX_FUNCTION_LINES, f"{path}: {function.name} has {lines} lines"
        assert len(parameters) <= MAX_PARAMETERS, f"{path}: {function.name} has {parameters}"


def test_results_are_types() -> None:
    returned = [each.returns for path in FILES for each in functions_of(path) if each.returns]
    assert sum(ast.unparse(each) == "dict[str, Any]" for each in returned) <= MAX_ANY_RESULTS


def test_every_room_has_a_place_in_the_order() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__", "__main__"}
    assert rooms <= set(RANK), f"not in the order: {rooms - set(RANK)}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) == "model"], ids=lambda path: path.name
)
def test_model_knows_tensors_only(path: Path) -> None:
    for name in imports_of(path):
        top = name.split(".")[0]
        known = (
            top in STANDARD_LIBRARY
            or top in MODEL_MAY_IMPORT
            or any(name.startswith(m) for m in MODEL_MAY_IMPORT)
        )
        assert known, f"model imports {name}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if room_of(p) in ("tokenizer", "report")], ids=lambda path: path.name
)
def test_tokenizer_and_report_need_no_torch(path: Path) -> None:
    assert not {name for name in imports_of(path) if name.split(".")[0] == "torch"}


def test_only_cli_recipes_and_research_know_the_report() -> None:
    for path in FILES:
        if room_of(path) not in ("cli", "recipes", "research", "report"):
            assert "report" not in own_rooms(path), path


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.name == "__init__.py"],
    ids=lambda path: path.parent.name,
)
def test_init_files_hold_a_docstring_only(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree)
    if path.parent != ROOT:
        assert len(tree.body) == 1
        return
    # The package's own has the version, and hands out the names of api/public.py lazily.
    assert imports_of(path) <= {"importlib", "typing"}
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assigned = [ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)]
    assert (defined, assigned) == (["__getattr__", "__dir__"], ["__version__", "__all__"])


def test_no_pickle_and_no_catch_all() -> None:
    # The two ways round: a line that says which library raises nothing more precise than Exception, or that a bug ends one row of a batch only.
    excused = ("library raises", "ends this row alone")
    never = ("import pickle", "torch.load(", "torch.save(", "except Exception", "except:", "eval(")
    for path in FILES:
        lines = path.read_text().splitlines()
        text = "\n".join(line for line in lines if not any(word in line for word in excused))
        found = [word for word in never if word in text.replace(".eval(", "")]
        assert not found, f"{path}: {found}"


def test_what_a_system_lacks_is_used_in_one_file() -> None:
    wrong = []
    for path in FILES:
        if path == SYSTEM_FILE:
            continue
        wrong += [f"{path}: imports {name}" for name in imports_of(path) & MODULES_OF_SOME_SYSTEMS]
        for node in nodes_of(path):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.attr in NAMES_OF_SOME_SYSTEMS.get(node.value.id, ()):
                    wrong.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
            elif isinstance(node, ast.keyword) and node.arg in ARGUMENTS_OF_SOME_SYSTEMS:
                wrong.append(f"{path}:{node.lineno}: {node.arg}")
    assert not wrong, "some systems lack it: write it into operating_system.py"


def test_text_files_are_opened_with_their_encoding() -> None:
    """Windows takes cp1252 otherwise."""
    wrong = []
    for path in FILES:
        for node in nodes_of(path):
            if not isinstance(node, ast.Call) or any(k.arg == "encoding" for k in node.keywords):
                continue
            called, given = ast.unparse(node.func).rpartition(".")[2], map(ast.unparse, node.args)
            modes = [each.strip("'") for each in given if re.fullmatch("'[rwax+bt]+'", each)]
            is_text = bool(modes) and "b" not in modes[0]
            if called == "open" and ast.unparse(node.func) == "open":
                is_text |= not modes
            elif called in ("read_text", "write_text"):
                is_text = len(node.args) < (1 if called == "read_text" else 2)
            elif called != "open":
                continue
            if is_text:
                wrong.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(SHOWN_ORDER.sub(shown_order(), page.read_text()))
