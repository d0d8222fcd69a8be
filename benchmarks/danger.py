"""Whether danger told in people's own words is heard: the weights of `retrieve/danger.py`, fitted, and measured on messages of others.

python benchmarks/danger.py                 ten folds over benchmarks/danger/*.jsonl, by words alone and with meaning, at several limits
python benchmarks/danger.py --write         the same, and weights of all of them to groundup/retrieve/danger_weights.json
python benchmarks/danger.py --held-out      the package's weights on benchmarks/danger/held_out

Each file was written by one language model that saw no code: messages of danger to life, of self-harm, and of neither; `near` ones have the same
words or subjects. What customers ask 97 firms and wish of 42 (benchmarks/reader_firms, said_wishes) is neither, too, but for a few: half is fitted
on, half measured. Needs scikit-learn and all-minilm-l6-v2.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from groundup.device import select_compute
from groundup.files import write_text
from groundup.packs.pack import PACKAGED
from groundup.progress import Silent
from groundup.retrieve.answer_evaluation import share
from groundup.retrieve.danger import DANGER, FITTED, LEAST, danger_odds
from groundup.retrieve.message_encoder import find_message_encoder
from groundup.retrieve.scope import urgent

HERE = Path(__file__).parent
CLASSES = ("none", *DANGER)
STRENGTH, DIGITS, ORDINARY, BATCH = 10.0, 2, 6000, 64
LIMITS = (0.3, 0.4, 0.5, 0.6)


def lines(folder: Path) -> list[dict[str, str]]:
    """Return the messages of all files of a folder."""
    return [
        json.loads(line)
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]


def ordinary() -> list[str]:
    """Return ORDINARY messages of firms' customers, drawn from all of them, and those of the packs."""

    def all_of() -> Iterator[str]:
        for folder in sorted((HERE / "reader_firms").iterdir()):
            yield from (
                (each["question"] for each in lines(folder) if "question" in each)
                if folder.is_dir()
                else ()
            )
        for firm in lines(HERE / "said_wishes"):
            yield from (text for action in firm["actions"] for text in action["messages"])  # type: ignore[index]

    found = list(dict.fromkeys(all_of()))
    drawn = [found[place] for place in np.random.default_rng(0).permutation(len(found))[:ORDINARY]]
    return [
        *drawn,
        *(
            each["text"]
            for pack in sorted(PACKAGED.iterdir())
            for each in lines(pack)
            if "text" in each
        ),
    ]


def main() -> None:
    """Measure, and write the weights where they are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--held-out", action="store_true")
    given = parser.parse_args()
    encoder = find_message_encoder(select_compute("cpu"), Silent())
    if encoder is None:
        raise SystemExit("The encoder is not on this machine: groundup pull all-minilm-l6-v2")

    def vectors(texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        parts = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        found = np.concatenate([encoder.texts([texts[place] for place in part]) for part in parts])
        return found[np.argsort(np.concatenate(parts))]

    if given.held_out:
        said = lines(HERE / "danger" / "held_out")
        odds = np.array([danger_odds(each["text"], encoder.texts) for each in said])
        report(said, np.column_stack([1 - odds.sum(1), odds]), [LEAST])
        return
    said, others = lines(HERE / "danger"), ordinary()
    classes = np.array([CLASSES.index(each["kind"]) for each in said])
    rows, free = vectors([each["text"] for each in said]), vectors(others)
    seen, unseen = free[: len(free) // 2], free[len(free) // 2 :]
    found, of_others = np.zeros((len(said), 3)), []
    for fitted, tested in StratifiedKFold(10, shuffle=True, random_state=0).split(rows, classes):
        model = fit(
            np.vstack([rows[fitted], seen]), np.r_[classes[fitted], np.zeros(len(seen), int)]
        )
        found[tested] = model.predict_proba(rows[tested])
        of_others.append(model.predict_proba(unseen))
    report(said, found, LIMITS)
    for limit in LIMITS:
        taken = int((1 - np.mean(of_others, 0)[:, 0] >= limit).sum())
        print(f"  {limit}: of other firms' customers {percent(taken, len(unseen))}")
    if given.write:
        model = fit(np.vstack([rows, free]), np.r_[classes, np.zeros(len(free), int)])
        rows, biases = model.coef_.astype(float), model.intercept_.astype(float)
        weights = {
            "weights": (rows[1:] - rows[0]).round(DIGITS).tolist(),
            "biases": (biases[1:] - biases[0]).round(DIGITS).tolist(),
        }
        write_text(FITTED, json.dumps(weights, separators=(",", ":")) + "\n")
        print(f"{FITTED}: fitted on {len(said)} and {len(others):,} messages")


def fit(rows: np.ndarray, classes: np.ndarray) -> LogisticRegression:
    """Return the regression of all three classes."""
    return LogisticRegression(C=STRENGTH, max_iter=2000).fit(rows, classes)


def percent(hits: int, n: int) -> str:
    """Return a share with its exact 95 % interval."""
    found = share(hits, n)
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%}) of {n}"


def report(
    said: list[dict[str, str]], odds: np.ndarray, limits: "tuple[float, ...] | list[float]"
) -> None:
    """Print what is heard by words alone, and by words or meaning at each limit."""
    groups = {
        kind: [place for place, each in enumerate(said) if each["kind"] == kind] for kind in DANGER
    }
    for near in (True, False):
        groups["near" if near else "ordinary"] = [
            place
            for place, each in enumerate(said)
            if each["kind"] == "none" and bool(each.get("near")) is near
        ]
    by_words = [urgent(each["text"]) for each in said]
    for name, places in groups.items():
        counts = [
            f"by words {percent(sum(by_words[place] is not None for place in places), len(places))}"
        ]
        for limit in limits:
            heard = [
                by_words[place]
                or (1 - odds[place, 0] >= limit and DANGER[int(odds[place, 1:].argmax())])
                for place in places
            ]
            right = f" ({sum(each == name for each in heard)} as that)" if name in DANGER else ""
            counts.append(f"{limit}: {percent(sum(map(bool, heard)), len(places))}{right}")
        print(f"{name}: " + "; ".join(counts))


if __name__ == "__main__":
    main()
