"""Ctrl-C while modules are imported: no traceback, no library broken in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundup.__main__ import interrupt_after_imports

# Sends the signal when the command line is about to be imported: the first thing that `main` does.
EARLY = """
import os, signal, sys

class Early:
    def find_spec(self, name, path=None, target=None):
        if name == "groundup.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Early())
from groundup.__main__ import main
main()
"""


def test_ctrl_c_before_a_verb_begins_ends_with_one_word() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_an_import_is_finished_before_ctrl_c_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_import.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    before = signal.signal(signal.SIGINT, interrupt_after_imports)
    try:
        with pytest.raises(KeyboardInterrupt):
            import slow_to_import  # type: ignore[import-not-found]

            assert slow_to_import.whole, "nothing was raised within the import"
            while True:
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)
        sys.modules.pop("slow_to_import", None)


def test_outside_of_imports_ctrl_c_is_what_it_always_is() -> None:
    before = signal.signal(signal.SIGINT, interrupt_after_imports)
    try:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    finally:
        signal.signal(signal.SIGINT, before)
