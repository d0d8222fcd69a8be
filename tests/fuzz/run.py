"""Damaged files for every reader of foreign bytes, for a time: what is none of the reader's own errors is kept and printed.

    python tests/fuzz/run.py [READER ...] [--seconds 300] [--seed 1]

Where atheris is installed (pip install atheris: Linux, some Pythons), its libFuzzer keeps what reaches new code and goes on from there;
elsewhere the damages are drawn at random. Findings are in build/fuzz/READER, the bytes and a text each: an exception, more than
HANG_S seconds of processor time, more than MEMORY_BYTES of memory, or the end of the process. On Linux only.
"""

import argparse
import faulthandler
import hashlib
import importlib.util
import io
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from contextlib import nullcontext, redirect_stderr, suppress
from multiprocessing.sharedctypes import RawValue
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from mutations import mutant

ATHERIS = importlib.util.find_spec("atheris") is not None
if ATHERIS:
    import atheris

ROOT = Path(__file__).parents[2]
FINDINGS = ROOT / "build" / "fuzz"
HANG_S, MEMORY_BYTES, KEPT = 10.0, 2**30, 300
STDERR = "stderr"
# Written in Python, so their new code counts for atheris as ours does.
INSTRUMENTED = ("groundup", "email", "mailbox", "zipfile", "tarfile", "pypdf", "jinja2", "tomllib")
FRAME = re.compile(r'File "([^"]*[/\\]groundup[/\\][^"]*)", line (\d+)')


class Trial:
    """One reader and its damaged file. What it imports stays for later ones: each attempt is a fork of this process."""

    def __init__(self, name: str, folder: Path) -> None:
        from readers import READERS, try_one

        self.reader, self.folder, self._try = READERS[name], folder, try_one
        self.name, self.path = name, folder / self.reader.file
        self.count = RawValue("Q")  # shared with the forks
        self.seeds = list(self.reader.prepare(folder))
        if self.reader.forks:
            self.try_seeds()

    def try_seeds(self) -> None:
        """Read what is sound."""
        for seed in self.seeds:
            self._try(self.reader, self.path, seed)

    def attempt(self, seconds: float, seed: int) -> int:
        """Try for some seconds in a child process; its status when it has ended."""
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.dup2(os.open(self.folder / STDERR, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        try:
            faulthandler.register(signal.SIGPROF, chain=True)
            self.try_seeds()
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES,) * 2)
            self.guided(seconds, seed) if ATHERIS else self.at_random(seconds, seed)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def once(self, data: bytes) -> bool:
        """Whether the reader takes these bytes."""
        self.count.value += 1
        signal.setitimer(signal.ITIMER_PROF, HANG_S)
        try:
            return self._try(self.reader, self.path, data)
        except Exception:
            keep(self.name, data, traceback.format_exc())
            return False
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def at_random(self, seconds: float, seed: int) -> None:
        """Damage sound contents, and damaged ones that were taken."""
        corpus, draw = list(self.seeds), random.Random(f"{self.name} {seed}")
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            data = mutant(draw.choice(corpus), corpus, draw)
            if self.once(data):
                corpus.insert(draw.randrange(len(self.seeds), len(corpus) + 1), data)
                del corpus[len(self.seeds) + KEPT :]

    def guided(self, seconds: float, seed: int) -> None:
        """Let libFuzzer choose; it ends the process."""
        corpus = FINDINGS / "corpus" / self.name
        corpus.mkdir(parents=True, exist_ok=True)
        for data in self.seeds:
            (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)

        def damage(data: bytes, max_size: int, seed: int) -> bytes:
            draw = random.Random(seed)
            if draw.random() < 0.5:
                return bytes(atheris.Mutate(data, max_size))
            return mutant(data, self.seeds, draw)[:max_size]

        options = [f"-max_total_time={max(1, int(seconds))}", f"-seed={seed}", "-verbosity=0"]
        options += ["-rss_limit_mb=0", "-timeout=600", "-max_len=131072"]
        arguments = [sys.argv[0], *options, f"-artifact_prefix={self.folder}/", str(corpus)]
        atheris.Setup(arguments, lambda data: self.once(data) and None, custom_mutator=damage)
        atheris.Fuzz()


def keep(name: str, data: bytes, why: str) -> None:
    """Keep a finding, one for each place of ours where it ends."""
    found = FRAME.findall(why)
    last = why.rstrip().rpartition("\n")[2]
    # A traceback ends, a dump of faulthandler begins with the innermost frame.
    place = found[-1] if why.startswith("Traceback") and found else tuple(found[:1]) or last
    kind = re.split(r"[:(]", last)[0]
    folder = FINDINGS / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / hashlib.sha1(repr((place, kind)).encode()).hexdigest()[:12]
    if not file.exists():
        file.write_bytes(data)
        file.with_suffix(".txt").write_text(why, encoding="utf-8", errors="replace")
        print(f"  finding in {name}: {place} {last[:160]}  ({file})", flush=True)


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Try one reader in child processes, a new one after each that ended early; how often it was called."""
    with tempfile.TemporaryDirectory(prefix="groundup-fuzz-") as made:
        with redirect_stderr(io.StringIO()):
            trial = Trial(name, Path(made))
        end_s = time.monotonic() + seconds
        while (left := end_s - time.monotonic()) > 1:
            if status := trial.attempt(left, seed):
                said = (Path(made) / STDERR).read_text(errors="replace")
                why = said[max(0, said.find("Current thread")) :][:20_000]
                keep(name, trial.path.read_bytes(), f"{why}\nended by {status}")
            seed += 1000
        return int(trial.count.value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    os.nice(max(0, 15 - os.nice(0)))
    with atheris.instrument_imports(include=list(INSTRUMENTED)) if ATHERIS else nullcontext():
        run(parser, asked)


def run(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> None:
    with redirect_stderr(io.StringIO()):  # atheris names each module
        from readers import READERS

    if unknown := [name for name in asked.readers if name not in READERS]:
        parser.error(f"there is no reader {unknown[0]!r}, but: {', '.join(READERS)}")
    with suppress(KeyboardInterrupt):
        for name in asked.readers or READERS:
            print(f"{name}: {asked.seconds:g} s", flush=True)
            print(f"{name}: {fuzz(name, asked.seconds, asked.seed):,} tries", flush=True)
    if found := list(FINDINGS.glob("*/*.txt")):
        sys.exit(f"{len(found)} findings in {FINDINGS}; remove those that are mended.")


if __name__ == "__main__":
    main()
