"""Peak memory of each verb on its ordinary input, and whether it does its work within a limit (Linux):

python benchmarks/memory.py FOLDER [--only NAME ...] [--limit 6G] [--json OUT]

Each command runs in FOLDER, where `groundup build quickstart` is made first; later runs take the one that is there. Memory is that of the command
and of its child processes, read ten times a second (/proc/PID/smaps_rollup): each page of their own once, and the pages of libraries and other mapped
files of the process that has most of them, whoever else has these mapped. Files that the system only caches are left out. `--limit` puts each
command into a memory cgroup (version 1, as root) of that size, without swap: what needs more is killed.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TEXTS = Path(__file__).resolve().parent.parent / "groundup"
BANK, DREAM = TEXTS / "packs/bank/documents", TEXTS / "course/notebooks/texts/dream"
QUESTION = "How much is a replacement card abroad?"
BUILD = "build quickstart --budget 3m --out quickstart"
URL = "http://127.0.0.1:8767"
SERVE = (
    "serve {} --port 8767 & "
    f"while kill -0 $! && ! curl -sfo models.json {URL}/v1/models; do sleep 0.2; done; "
    f"curl -sfo answer.json {URL}/api/chat --json '{{}}'; kill -INT $!; wait $!"
)
WATCH = "watch quickstart --port 8766 & sleep 20; curl -so watched.html http://127.0.0.1:8766/; kill -INT $!"


def asked(model: str, text: str) -> str:
    """The body of a question to a server, as COMMANDS are formatted once more: with doubled braces."""
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return json.dumps(body).replace("{", "{{").replace("}", "}}")


COMMANDS = {
    "build quickstart": BUILD,
    "build a folder of texts": f"build {DREAM} --budget 1m --out dream",
    "build a pack": "build bank --budget 1m --out bank",
    "pretrain 10 million parameters": f"pretrain {DREAM} --size 10M --minutes 1 --out pretrained",
    "generate, own model": "generate quickstart/pretrain The",
    "generate, SmolLM2-135M, float32": "generate smollm2-135m-instruct Hello --precision float32",
    "generate, SmolLM2-135M, 8 bits": "generate smollm2-135m-instruct Hello --precision int8",
    "generate, SmolLM2-360M, float32": "generate smollm2-360m-instruct Hello --precision float32",
    "fine-tune a chatbot": "finetune chat smollm2-135m-instruct {chat} --budget 2m --out tuned",
    "fine-tune a classifier": "finetune classifier smollm2-135m-instruct {labels} --budget 4m --out classifier",
    "sweep": f"sweep {DREAM} --steps 40 --sizes 2 --out law",
    "research": f"research {DREAM} --seconds 5 --rounds 1 --seeds 2 --switches cosine --out researched",
    "watch": WATCH,
    "evaluate a chatbot": "evaluate quickstart/chat --tasks grammar,copying,multiple_choice",
    "look inside": "lab quickstart/pretrain --out lab",
    "index": f"index {BANK} --out bank.index",
    "ask": f"ask bank.index '{QUESTION}'",
    "index, second reader": f"index {BANK} --encoder all-mpnet-base-v2 --out bank2.index",
    "ask, second reader": f"ask bank2.index '{QUESTION}'",
    "search": "search bank.index card",
    "serve documents (MCP, until its input ends)": "serve bank.index --mcp stdio </dev/null",
    "serve, a chatbot": SERVE.format("quickstart", asked("chat", "Hello")),
    "serve, an assistant": SERVE.format("bank", asked("bank", QUESTION)),
    "actions": "actions bank",
    "connect": "connect llm",
    "pull, all there": "pull smollm2-135m-instruct",
    "pack check": "pack check bank",
    "data inspect": f"data inspect {DREAM}",
    "tokenizer train": f"tokenizer train {DREAM} --out tokenizer",
    "plan": f"plan {DREAM} --budget 1m",
    "model show": "model show quickstart/pretrain",
    "learn": "learn",
    "classify": "classify quickstart 'You have won a prize'",
    "chat": "chat quickstart <<<Hello",
    "convert to GGUF": "convert quickstart/chat --to gguf --out chat.gguf",
    "report": "report quickstart --out report.html",
    "app, a page": "app quickstart/pretrain --out page",
    "app, a program": "app quickstart/chat --out program",
    "sign": "sign quickstart --key {key}",
    "verify": "verify quickstart",
    "cache": "cache",
    "doctor": "doctor",
    "fetch, all there": "fetch --for quickstart",
}


def memory_bytes(group: int) -> int:
    """Of all processes of a process group: their own pages, each once, and the pages of files of the process that has most of these."""
    own, files = 0, 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            behind_name = (folder / "stat").read_text().rpartition(") ")[2].split()
            if int(behind_name[2]) == group:
                lines = (folder / "smaps_rollup").read_text().splitlines()[1:]
                kb = {
                    name: int(rest.split()[0])
                    for name, _, rest in (line.partition(":") for line in lines)
                }
                own += 1024 * (kb["Pss_Anon"] + kb["Pss_Shmem"])
                files = max(files, 1024 * (kb["Rss"] - kb["Anonymous"]))
    return own + files


@contextlib.contextmanager
def limited(limit_bytes: int) -> Iterator[Path | None]:
    """A cgroup's list of processes; None without a limit."""
    if not limit_bytes:
        yield None
        return
    group = Path(f"/sys/fs/cgroup/memory/groundup-{os.getpid()}")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
    (group / "memory.swappiness").write_text("0")
    try:
        yield group / "cgroup.procs"
    finally:
        time.sleep(0.5)
        group.rmdir()


def measured(command: str, folder: Path, limit_bytes: int) -> dict[str, object]:
    """Seconds, exit code and peak bytes of a command."""
    with limited(limit_bytes) as processes:
        start = "exec"
        if processes:
            start = f"echo $$ > {processes} && exec"
        whole = f"{start} {sys.executable} -m groundup {command}"
        started, peak = time.monotonic(), 0
        with (folder / "memory.log").open("ab") as log:
            running = subprocess.Popen(
                ["bash", "-c", whole], cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
            while running.poll() is None:
                peak = max(peak, memory_bytes(running.pid))
                time.sleep(0.1)
    seconds = round(time.monotonic() - started, 1)
    return {"peak_bytes": peak, "seconds": seconds, "exit_code": running.returncode}


def main() -> None:
    """Run the commands, print their memory, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", choices=COMMANDS, help="Of these commands.")
    parser.add_argument("--limit", default="0G", help="Of the memory, as 6G.")
    parser.add_argument("--json", type=Path, help="Write the figures here.")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    chat = args.folder / "chat.jsonl"
    pairs = ({"instruction": f"Say {n}.", "output": f"Here it is: {n}."} for n in range(200))
    chat.write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs), encoding="utf-8")
    labels, key = args.folder / "labels.jsonl", args.folder / "key.pem"
    rows = (
        {"text": f"{('Win', 'Bring')[n % 2]} {n} prizes.", "label": ("spam", "ham")[n % 2]}
        for n in range(400)
    )
    labels.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    make_key = ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
    subprocess.run(make_key, check=True)
    limit_bytes = int(float(args.limit.removesuffix("G")) * 2**30)
    found: dict[str, dict[str, object]] = {}
    for name in args.only or COMMANDS:
        command = COMMANDS[name].format(
            chat=chat.resolve(), labels=labels.resolve(), key=key.resolve()
        )
        found[name] = row = measured(command, args.folder, limit_bytes)
        print(f"{name:34} {row['peak_bytes']:>14,} bytes {row['seconds']:>8} s, exit code", end=" ")
        print(row["exit_code"], flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
