"""A wheel as a stranger meets it: an empty environment, an empty folder, the main verbs, then each
extra that is missing.

    python packaging/try_wheel.py dist/groundup-0.1.0-py3-none-any.whl

For Linux, macOS and Windows, with the standard library alone. A line for each step, with its
seconds; the first that fails ends it with what was said. pip's own settings say where packages come
from.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

WINDOWS = sys.platform == "win32"
# Set by who calls this, none of a stranger's.
NOT_PASSED_ON = ("PYTHONPATH", "VIRTUAL_ENV", "GROUNDUP_CACHE", "OMP_NUM_THREADS")
SENTENCES = (
    "The ferry to Holm leaves at a quarter past seven, and at noon on Sundays.",
    "Bread is baked before dawn; what is left at six goes to the school.",
    "A ticket for the tower costs four crowns, for children two.",
    "In winter the harbour freezes, and the mail comes over the ice.",
)
# The first use of something that an extra brings, and the extra.
FIRST_USES = {
    "serve": ["serve", "runs/texts", "--port", "0"],
    "lab": ["lab", "runs/texts", "--text", "The ferry", "--pictures", "pictures"],
    "gs": ["data", "inspect", "gs://bucket/texts"],
    "s3": ["data", "inspect", "s3://bucket/texts"],
    "hub": ["data", "inspect", "hf:someone/texts"],
    "parquet": ["data", "inspect", "rows.parquet"],
    "langchain": ["ask", "When?", "--retriever", "module:name"],
    "ray": ["pretrain", "texts", "--out", "ray-run", "--runner", "ray"],
    "tensorboard": ["pretrain", "texts", "--out", "log-run", "--log", "tensorboard"],
    "wandb": ["pretrain", "texts", "--out", "log-run", "--log", "wandb"],
}


class Trial:
    """A folder with an environment of its own, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "env" / ("Scripts" if WINDOWS else "bin")
        self.settings = {
            name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON
        } | {"GROUNDUP_CACHE": str(folder / "cache"), "PYTHONUTF8": "1"}

    def run(self, *command: object, code: int = 0) -> str:
        """Run a command; return what it printed, with `code` what it said of its failure. Another
        exit code ends the program.
        """
        start, words = time.monotonic(), [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.settings,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        line = " ".join([Path(words[0]).stem, *words[1:]])
        print(f"{time.monotonic() - start:7.1f} s  {line}", flush=True)
        if done.returncode != code:
            said = done.stdout + done.stderr
            sys.exit(f"exit code {done.returncode}, expected {code}:\n{said}")
        return done.stderr if code else done.stdout

    def groundup(self, *words: object, code: int = 0) -> str:
        return self.run(self.programs / "groundup", *words, code=code)

    def install(self, what: str) -> None:
        self.run(self.programs / "python", "-m", "pip", "install", "-q", "--no-compile", what)


def main(wheel: Path) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trial = Trial(Path(folder).resolve())
        trial.run(sys.executable, "-m", "venv", trial.folder / "env")
        trial.install(str(wheel))
        first_verbs(trial)
        texts_and_model(trial)
        missing_extras(trial)
        trial.install(f"{wheel}[serve]")
        server(trial)
    print("The wheel does all of it.")


def first_verbs(trial: Trial) -> None:
    """What says what is there: help, the machine, the course, recipes and packs."""
    verbs = re.findall(r"^[ │]+(\w+) ", trial.groundup("--help"), re.MULTILINE)
    for verb in {"build", "serve", "ask", "learn"}:
        expect(verb in verbs, f"--help without {verb}")
    place = trial.run(trial.programs / "python", "-c", "import groundup; print(groundup.__file__)")
    expect(Path(place.strip()).is_relative_to(trial.folder), f"another groundup: {place}")
    found = json.loads(trial.groundup("doctor", "--json"))
    rows = {row["what"]: row["meaning"] for row in found["machine"]}
    for extra in FIRST_USES:
        expect(f"groundup[{extra}]" in rows[f"extra {extra}"], f"doctor of {extra}")
    expect("15" in trial.groundup("learn"), "fewer than 15 notebooks")
    trial.groundup("learn", 1, "--copy-only")
    expect(any(trial.folder.glob("groundup-course/01-*.ipynb")), "no copy of the notebook")
    for name in ("quickstart", "bank"):
        trial.groundup("build", name, "--dry-run")


def texts_and_model(trial: Trial) -> None:
    """A folder of texts: read, a model of it in half a minute, an index, an answer."""
    texts = trial.folder / "texts"
    texts.mkdir()
    for number in range(12):
        turned = SENTENCES[number % 4 :] + SENTENCES[: number % 4]
        text = "\n\n".join(f"{number}. {sentence}" for sentence in turned * 20)
        (texts / f"{number}.md").write_text(f"# Notes {number}\n\n{text}\n", encoding="utf-8")
    (trial.folder / "rows.parquet").write_bytes(b"PAR1")
    trial.groundup("data", "inspect", "texts")
    trial.groundup("build", "texts", "--budget", "30s")
    report = (trial.folder / "runs/texts/report.html").read_text(encoding="utf-8")
    expect("</html>" in report, "no report")
    trial.groundup("generate", "runs/texts", "The ferry", "--max-tokens", 8)
    trial.groundup("verify", "runs/texts")
    trial.groundup("index", "texts", "--out", "texts.index")
    answer = trial.groundup("ask", "texts.index", "What does a ticket for the tower cost?")
    expect("four crowns" in answer, answer)


def missing_extras(trial: Trial) -> None:
    """One sentence with the command that installs it, and nothing is written."""
    for extra, words in FIRST_USES.items():
        said = trial.groundup(*words, code=2)
        quote = '"' if WINDOWS else "'"
        expect(f"pip install {quote}groundup[{extra}]{quote}" in said, said)
        expect("Traceback" not in said, said)
    left = [name for name in ("pictures", "ray-run", "log-run") if (trial.folder / name).exists()]
    expect(not left, f"written in spite of it: {left}")


def server(trial: Trial) -> None:
    """A question to the three APIs' port."""
    command = [str(trial.programs / "groundup"), "serve", "runs/texts", "--port", "0", "--json"]
    with subprocess.Popen(
        command, cwd=trial.folder, env=trial.settings, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["address"]
            with urllib.request.urlopen(f"{address}/v1/models", timeout=60) as answer:
                expect(bool(json.load(answer)["data"]), "no model is served")
        finally:
            process.terminate()
            process.wait(timeout=60)
    print("           serve: it answers")


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"not as expected: {otherwise}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].endswith(".whl"):
        sys.exit(
            "Say which wheel: python packaging/try_wheel.py dist/groundup-VERSION-py3-none-any.whl"
        )
    main(Path(sys.argv[1]).resolve())
