"""The weights by which an action is chosen by meaning: fitted, and how well they do on a pack, or firms, that they were not fitted on.

python benchmarks/action_weights.py FOLD0 FOLD1 [--write]

FOLD0, FOLD1: what `message_encoder.py OUT --fold 0` and `--fold 1` wrote, each of which hears the firms of benchmarks/said_wishes that it was not
trained on. Fitted on these, with 3, 5 and 10 examples an action, and on the five packs' examples, with the package's encoder of messages: each left
out in turn, and with 3, 5 and 10 drawn examples all others; against their near questions, left out likewise, and questions that documents answer: the
packs' own, their instructions that are questions, and benchmarks/held_out with held_out/second. Never on conversations, nor on held_out/actions,
held_out/third and said_wishes/held_out. --write: weights of all, to groundup/actions/intent_weights.json. Needs scikit-learn and all-minilm-l6-v2.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from action_reading import HELD_OUT, answerable, lines
from said_wishes import drawn, firms
from sklearn.linear_model import LogisticRegression

from groundup.actions import intent, intent_meaning
from groundup.actions.action_file import read_actions
from groundup.actions.definition import Action
from groundup.actions.intent import EITHER, NEAR, SURE, ActionChooser
from groundup.actions.intent_meaning import FITTED, Embed, MeaningWeights, MessageEncoder
from groundup.device import select_compute
from groundup.files import write_text
from groundup.packs.pack import PACKAGED
from groundup.progress import Silent
from groundup.retrieve import message_encoder
from groundup.retrieve.message_encoder import open_message_encoder
from groundup.retrieve.vectors import open_encoder
from groundup.weights.catalog import SENTENCE_ENCODER

PACKS = [file.stem for file in sorted((HELD_OUT / "actions").glob("*.jsonl"))]
TESTED = ("request", "near request")
FEW = (3, 5, 10)
STRENGTH, REQUEST_STRENGTH, OTHER_ACTION, OF_FIRMS = 1.0, 2.0, 0.3, 0.5
DIGITS = 4
Said = tuple[str, str, frozenset[str]]


@dataclass
class Row:
    """A message, and of each of its parts what is weighed for each action."""

    firm: str
    kind: str
    text: str
    wanted: frozenset[str]
    parts: list[dict[str, dict[str, float]]]
    vectors: list[np.ndarray]


def remembering(embed: Embed) -> MessageEncoder:
    """Return an encoder that makes each vector once."""
    known: dict[str, np.ndarray] = {}

    def made(texts: Sequence[str]) -> np.ndarray:
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known.update(zip(missing, embed(missing), strict=True))
        return np.stack([known[text] for text in texts])

    return MessageEncoder(made, made)


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


def own_texts(actions: Sequence[Action]) -> Iterator[Said]:
    """Yield kind, text and actions of a pack's examples and near questions."""
    for action in actions:
        yield from (("example", text, frozenset([action.name])) for text in action.examples)
        yield from (("near question", text, frozenset()) for text in action.not_examples)


def other_texts(pack: str) -> Iterator[Said]:
    """Yield the same of the questions to a pack, and of requests that only test."""
    yield from (("question", text, frozenset()) for text in answerable(pack))
    for row in lines(PACKAGED / pack / "instructions.jsonl"):
        if row["instruction"].endswith("?") and not row["input"]:
            yield "instruction", row["instruction"], frozenset()
    for row in lines(HELD_OUT / "actions" / f"{pack}.jsonl"):
        yield TESTED[not row["actions"]], row["text"], frozenset(row["actions"])


def actions_of(pack: str) -> tuple[Action, ...]:
    """Return the actions of a pack."""
    found = read_actions(PACKAGED / pack)
    assert found is not None
    return found.actions


def heard(
    firm: str, chooser: Callable[[str], ActionChooser], said: Iterable[Said], embed: Embed
) -> Iterator[Row]:
    """Yield the rows of messages; `chooser`: the one of a message."""
    for kind, text, wanted in said:
        own = chooser(text)
        vectors = [embed([each])[0] for each, _ in own.parts(text)]
        yield Row(firm, kind, text, wanted, list(own.features(text)), vectors)


def chooser_of(actions: Sequence[Action], encoder: MessageEncoder) -> ActionChooser:
    """Return the chooser of actions, which has no weights yet."""
    size = len(encoder.wishes([""])[0])
    return ActionChooser(actions, encoder, MeaningWeights({}, 0.0, np.zeros(size), 0.0))


def left_out_rows(encoder: MessageEncoder) -> Iterator[Row]:
    """Yield the rows of the packs, of which each own text is left out in turn."""
    for pack in PACKS:
        actions = actions_of(pack)
        whole, wishes = chooser_of(actions, encoder), encoder.wishes
        yield from heard(
            pack,
            lambda text, actions=actions: chooser_of(without(actions, text), encoder),
            own_texts(actions),
            wishes,
        )
        yield from heard(pack, lambda _, whole=whole: whole, other_texts(pack), wishes)


def drawn_rows(encoder: MessageEncoder, count: int) -> Iterator[Row]:
    """Yield the rows of the packs whose actions have so many of their examples."""
    for pack in PACKS:
        draw, kept = random.Random(count), list[Action]()
        for each in actions_of(pack):
            examples = draw.sample(each.examples, len(each.examples))
            near = draw.sample(each.not_examples, len(each.not_examples))
            few = tuple(near[: max(1, count // 3)])
            kept.append(replace(each, examples=tuple(examples[:count]), not_examples=few))
        known = {text for each in kept for text in (*each.examples, *each.not_examples)}
        others = [each for each in own_texts(actions_of(pack)) if each[1] not in known]
        chooser = chooser_of(kept, encoder)
        said = [*others, *other_texts(pack)]
        yield from heard(pack, lambda _, own=chooser: own, said, encoder.wishes)


def firm_rows(encoder: MessageEncoder, of: Sequence[dict], count: int) -> Iterator[Row]:
    """Yield the rows of firms whose actions have so many examples."""
    draw = random.Random(count)
    for firm in of:
        actions, rest = drawn(firm, count, draw)
        chooser = chooser_of(actions, encoder)
        said = [(style, text, frozenset([name]) - {""}) for style, text, name in rest]
        yield from heard(firm["firm"], lambda _, own=chooser: own, said, encoder.wishes)


def fitted_request(rows: Sequence[Row]) -> tuple[np.ndarray, float]:
    """Return the weights and the bias of what asks for something at all."""
    used = [row for row in rows if row.kind not in TESTED and row.vectors]
    model = LogisticRegression(C=REQUEST_STRENGTH, max_iter=2000, class_weight="balanced")
    model.fit([row.vectors[0] for row in used], [bool(row.wanted) for row in used])
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
    for pack in PACKS:
        request = fitted_request([row for row in rows if row.firm != pack])
        found += with_request([row for row in rows if row.firm == pack], request)
    return found


def fitted(rows: Sequence[Row], request: tuple[np.ndarray, float]) -> MeaningWeights:
    """Return the weights of rows that have their request's."""
    names = sorted(
        {name for row in rows for part in row.parts for f in part.values() for name in f}
        - {intent_meaning.UNKNOWN_THING}
    )
    inputs, wanted, weights = [], [], []
    for row in rows:
        if row.kind in TESTED:
            continue
        weight = 1.0
        if row.firm not in PACKS:
            weight = OF_FIRMS
        for part in row.parts[: 1 if row.wanted else None]:
            for name, features in part.items():
                inputs.append([features.get(each, 0.0) for each in names])
                wanted.append(name in row.wanted)
                is_other = bool(row.wanted) and name not in row.wanted
                weights.append(weight * (OTHER_ACTION if is_other else 1.0))
    model = LogisticRegression(C=STRENGTH, max_iter=5000)
    model.fit(np.array(inputs), wanted, sample_weight=weights)
    named = dict(zip(names, map(float, model.coef_[0]), strict=True))
    return MeaningWeights(named, float(model.intercept_[0]), request[0], request[1])


def outcome(row: Row, weights: MeaningWeights) -> str:
    """Return what becomes of a row."""
    best = intent_meaning.best_odds(row.parts, weights)
    found = sorted(((each, name) for name, each in best.items()), reverse=True)
    if not found or found[0][0] < NEAR:
        return "nothing"
    (odds, name), *rest = found
    if odds < SURE:
        return "offered" if name in row.wanted else "another offered"
    if rest and rest[0][0] >= max(SURE, odds - EITHER):
        return "of two" if {name, rest[0][1]} & row.wanted else "of two others"
    return "begun" if name in row.wanted else "another begun"


def print_outcomes(title: str, rows: Sequence[Row], weights: MeaningWeights) -> None:
    """Print what becomes of rows, by their kind."""
    names = ("begun", "of two", "offered", "another begun", "of two others", "another offered")
    print(f"{title:<24}{'':>7}" + "".join(f"{name:>17}" for name in names))
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.kind, []).append(outcome(row, weights))
    for kind, outcomes in found.items():
        cells = (f"{outcomes.count(name):>17}" for name in names)
        print(f"  {kind:<22}{len(outcomes):>7}" + "".join(cells), flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folds", type=Path, nargs=2)
    parser.add_argument("--write", action="store_true", help="write the weights of all")
    arguments = parser.parse_args()
    engine = open_encoder(SENTENCE_ENCODER, select_compute("cpu"), Silent())

    def opened(folder: Path) -> MessageEncoder:
        return remembering(open_message_encoder(engine, folder).wishes)

    encoder = opened(message_encoder.PACKAGED)
    left_out = crossed([*left_out_rows(encoder)])
    drawn_again = [crossed([*drawn_rows(encoder, count)]) for count in FEW]
    packs = [*left_out, *(row for rows in drawn_again for row in rows)]
    every = firms()
    random.Random(1).shuffle(every)
    halves = []
    for fold, folder in enumerate(arguments.folds):
        own = opened(folder)
        request = fitted_request([*drawn_rows(own, FEW[0]), *drawn_rows(own, FEW[-1])])
        halves.append(
            [with_request([*firm_rows(own, every[fold::2], count)], request) for count in FEW]
        )
    both = [row for half in halves for rows in half for row in rows]
    none = np.zeros(len(encoder.wishes([""])[0])), 0.0
    scored = []
    for pack in PACKS:
        weights = fitted([*(row for row in packs if row.firm != pack), *both], none)
        scored.append((weights, [row for row in left_out if row.firm == pack]))
    for weights, rows in scored:
        print_outcomes(rows[0].firm, rows, weights)
    for fold, half in enumerate(halves):
        others = [row for rows in halves[1 - fold] for row in rows]
        weights = fitted([*packs, *others], none)
        for count, rows in zip(FEW, half, strict=True):
            print_outcomes(f"firms, fold {fold}, {count}", rows, weights)
    if arguments.write:
        weights = fitted([*packs, *both], fitted_request(packs))
        plain = {
            "weights": {name: round(each, DIGITS) for name, each in weights.weights.items()},
            "bias": round(weights.bias, DIGITS),
            "request": [round(float(each), DIGITS) for each in weights.request],
            "request_bias": round(weights.request_bias, DIGITS),
        }
        write_text(FITTED, json.dumps(plain) + "\n")


if __name__ == "__main__":
    main()
