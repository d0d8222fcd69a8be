"""The weights by which an action is chosen by meaning: fitted, and how well they do on a pack that they were not fitted on.

python benchmarks/action_weights.py [--encoder NAME] [--write]

Fitted on the five packs' examples, each left out in turn, against their near questions, left out likewise, and questions that documents answer: the
packs' own, their instructions that are questions, and benchmarks/held_out with held_out/second. Never on conversations, nor on held_out/actions and
held_out/third. For the table each pack has weights of the other four. --write: weights of all five, to groundup/actions/meaning/NAME.json.
Needs scikit-learn and the encoder.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from action_reading import HELD_OUT, answerable, lines
from sklearn.linear_model import LogisticRegression

from groundup.actions import intent, intent_meaning
from groundup.actions.action_file import read_actions
from groundup.actions.definition import Action
from groundup.actions.intent import NEAR, SURE, ActionChooser
from groundup.actions.intent_meaning import FITTED, USUAL_ENCODER, MeaningWeights
from groundup.device import select_compute
from groundup.files import write_text
from groundup.packs.pack import PACKAGED
from groundup.progress import Silent
from groundup.retrieve.vectors import embed_with

PACKS = [file.stem for file in sorted((HELD_OUT / "actions").glob("*.jsonl"))]
STRENGTH, REQUEST_STRENGTH, OTHER_ACTION = 1.0, 2.0, 0.3
DIGITS = 4


@dataclass
class Row:
    """A message, and of each of its parts what is weighed for each action."""

    pack: str
    kind: str
    text: str
    wanted: frozenset[str]
    parts: list[dict[str, dict[str, float]]]
    vectors: list[np.ndarray]


def without(actions: Sequence[Action], text: str) -> list[Action]:
    """Return actions with one example or near question fewer."""
    return [
        replace(
            each,
            examples=tuple(one for one in each.examples if one != text),
            not_examples=tuple(one for one in each.not_examples if one != text),
        )
        for each in actions
    ]


def messages(pack: str, actions: Sequence[Action]) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield kind, text and actions of a pack's messages."""
    for action in actions:
        yield from (("example", text, frozenset([action.name])) for text in action.examples)
        yield from (("near question", text, frozenset()) for text in action.not_examples)
    yield from (("question", text, frozenset()) for text in answerable(pack))
    for row in lines(PACKAGED / pack / "instructions.jsonl"):
        if row["instruction"].endswith("?") and not row["input"]:
            yield "instruction", row["instruction"], frozenset()
    for row in lines(HELD_OUT / "actions" / f"{pack}.jsonl"):
        yield ("request" if row["actions"] else "near"), row["text"], frozenset(row["actions"])


def rows_of(pack: str, embed: intent_meaning.Embed) -> Iterator[Row]:
    """Yield the rows of a pack."""
    found = read_actions(PACKAGED / pack)
    assert found is not None
    none_yet = MeaningWeights({}, 0.0, np.zeros_like(embed([""])[0]), 0.0)
    whole = ActionChooser(found.actions, embed, none_yet)
    for kind, text, wanted in messages(pack, found.actions):
        is_own = kind in ("example", "near question")
        chooser = whole
        if is_own:
            chooser = ActionChooser(without(found.actions, text), embed, none_yet)
        vectors = [embed([each])[0] for each, _ in chooser.parts(text)]
        yield Row(pack, kind, text, wanted, list(chooser.features(text)), vectors)


def fitted_request(rows: Sequence[Row]) -> tuple[np.ndarray, float]:
    """Return the weights and the bias of what asks for something at all."""
    kinds = ("example", "near question", "question", "instruction")
    used = [row for row in rows if row.kind in kinds and row.vectors]
    model = LogisticRegression(C=REQUEST_STRENGTH, max_iter=2000, class_weight="balanced")
    model.fit([row.vectors[0] for row in used], [row.kind == "example" for row in used])
    return model.coef_[0], float(model.intercept_[0])


def with_request(rows: Sequence[Row], request: tuple[np.ndarray, float]) -> list[Row]:
    """Return rows with what these weights say in place of none."""
    found = []
    for row in rows:
        parts = []
        for part, vector in zip(row.parts, row.vectors, strict=True):
            asks = float(request[0] @ vector) + request[1]
            parts.append({name: with_asks(each, asks) for name, each in part.items()})
        found.append(replace(row, parts=parts))
    return found


def with_asks(features: dict[str, float], asks: float) -> dict[str, float]:
    """Return features with another value of what asks for something."""
    is_question = any(f"form {form}" in features for form in intent.QUESTIONS)
    return features | {"asks": asks, "question asks": asks * is_question}


def crossed(rows: Sequence[Row]) -> list[Row]:
    """Return rows of several packs, each with request weights of the others."""
    found = []
    for pack in dict.fromkeys(row.pack for row in rows):
        request = fitted_request([row for row in rows if row.pack != pack])
        found += with_request([row for row in rows if row.pack == pack], request)
    return found


def fitted(rows: Sequence[Row]) -> MeaningWeights:
    """Return the weights of some packs' rows."""
    names = sorted(
        {name for row in rows for part in row.parts for f in part.values() for name in f}
        - {intent_meaning.UNKNOWN_THING}
    )
    inputs, wanted, weights = [], [], []
    for row in crossed(rows):
        if row.kind in ("request", "near"):
            continue
        for part in row.parts[: 1 if row.wanted else None]:
            for name, features in part.items():
                inputs.append([features.get(each, 0.0) for each in names])
                wanted.append(name in row.wanted)
                weights.append(OTHER_ACTION if row.wanted and name not in row.wanted else 1.0)
    model = LogisticRegression(C=STRENGTH, max_iter=3000)
    model.fit(np.array(inputs), wanted, sample_weight=weights)
    request = fitted_request(rows)
    named = dict(zip(names, map(float, model.coef_[0]), strict=True))
    return MeaningWeights(named, float(model.intercept_[0]), request[0], request[1])


def odds(row: Row, weights: MeaningWeights) -> list[tuple[float, str]]:
    """Return the odds of each action, best first."""
    (row,) = with_request([row], (weights.request, weights.request_bias))
    best = intent_meaning.best_odds(row.parts, weights)
    found = sorted(((each, name) for name, each in best.items()), reverse=True)
    return found or [(-99.0, "")]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", default=USUAL_ENCODER, help="whose vectors are weighed")
    parser.add_argument("--write", action="store_true", help="write the weights of all packs")
    arguments = parser.parse_args()
    made = embed_with(arguments.encoder, select_compute("cpu"), Silent())
    known: dict[str, np.ndarray] = {}

    def embed(texts: Sequence[str]) -> np.ndarray:
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known.update(zip(missing, made(missing), strict=True))
        return np.stack([known[text] for text in texts])

    rows = [row for pack in PACKS for row in rows_of(pack, embed)]
    scored = []
    for pack in PACKS:
        weights = fitted([row for row in rows if row.pack != pack])
        scored += [(row, odds(row, weights)) for row in rows if row.pack == pack]
    kinds = list(dict.fromkeys(row.kind for row in rows))
    print(f"{'least odds':<12}" + "".join(f"{kind:>22}" for kind in kinds))
    for least in sorted({NEAR, SURE, -0.5, 0.0, 0.5, 1.0}):
        cells = []
        for kind in kinds:
            own = [(row, each[0]) for row, each in scored if row.kind == kind]
            right = sum(best[0] >= least and best[1] in row.wanted for row, best in own)
            wrong = sum(best[0] >= least and best[1] not in row.wanted for row, best in own)
            cells.append(f"{right} / {wrong} of {len(own)}")
        print(f"{least:<12}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
    if arguments.write:
        weights = fitted(rows)
        plain = {
            "weights": {name: round(each, DIGITS) for name, each in weights.weights.items()},
            "bias": round(weights.bias, DIGITS),
            "request": [round(float(each), DIGITS) for each in weights.request],
            "request_bias": round(weights.request_bias, DIGITS),
        }
        write_text(FITTED / f"{arguments.encoder}.json", json.dumps(plain) + "\n")


if __name__ == "__main__":
    main()
