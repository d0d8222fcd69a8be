"""lm-eval from the package registry, in an environment of its own beside the packages of this one."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow]
HERE = Path(__file__).parent


def test_agreement_with_a_released_lm_eval(own_cache: Path) -> None:
    """Only what is missing here is installed there."""
    home = own_cache / "lm-eval"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = subprocess.run(
            [str(python), "-c", where], check=True, capture_output=True, text=True
        ).stdout.strip()
        (Path(packages) / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "lm_eval[api]==0.4.13"], check=True
        )
    root = HERE.parents[1]
    command = [
        str(python),
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        str(HERE / "test_lm_eval.py"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "skipped" not in done.stdout, done.stdout[-4000:]
