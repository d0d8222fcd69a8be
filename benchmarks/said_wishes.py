"""How the wishes of a new firm's customers are heard, by the number of examples that its actions have.

python benchmarks/said_wishes.py [--words] [--encoder NAME] [--examples 3 10] [--firms N] [--tune [--rank R] [--steps N]]

The firms of benchmarks/said_wishes, on which nothing that the package ships was fitted. Of each action's messages some, drawn at random, are its
examples, a third as many near ones its near questions; all others are heard once: begun, asked about as one of two, offered, or none of these.

--tune trains adapters (LoRA) of all-minilm-l6-v2 on two thirds of the firms and says of the last third how often the wish is nearest to its own
action, and how well the nearest cosine tells wishes from all that asks for nothing (area under the curve), before and after. It writes nothing.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.actions.definition import Action
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_meaning import USUAL_ENCODER, Embed, fitted_weights
from groundup.device import generator, select_compute
from groundup.engine.padded_batch import batches_by_length, pad_right
from groundup.model.lora import add_lora, lora_parameters
from groundup.progress import Silent
from groundup.retrieve.vectors import embed_by, open_encoder

SAID = Path(__file__).with_name("said_wishes")
STYLES = (
    ["order"] * 4 + ["story"] * 4 + ["question"] * 2 + ["hurry"] * 2 + ["long"] * 2 + ["short"] * 2
)
# Temperature of the mean of an action's cosines (its title's and examples'), as a log-sum-exp.
TAU = 0.05
RATE, TRAINED = 1e-3, 2 / 3
Vectors = Callable[[Sequence[str]], Tensor]


def firms() -> list[dict]:
    """Return the firms of all writers."""
    files = sorted(SAID.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def drawn(
    firm: dict, examples: int, draw: random.Random
) -> tuple[list[Action], list[tuple[str, str, str]]]:
    """Return a firm's actions, and of the messages that are none of their texts the style, the text and the action ("": none)."""
    actions, rest = [], [("question", text, "") for text in firm["questions"]]
    for number, each in enumerate(firm["actions"]):
        messages, near = [*zip(STYLES, each["messages"], strict=True)], [*each["near"]]
        draw.shuffle(messages)
        draw.shuffle(near)
        own = tuple(text for _, text in messages[:examples])
        kept = max(1, examples // 3)
        name = f"action_{number}"
        actions.append(
            Action(name, each["title"], "Done.", examples=own, not_examples=tuple(near[:kept]))
        )
        rest += [(style, text, name) for style, text in messages[examples:]]
        rest += [("near", text, "") for text in near[kept:]]
    return actions, rest


def heard(chooser: ActionChooser, text: str, wanted: str) -> str:
    """Return what becomes of a message: "begun", "of two", "offered" or "none", with "wrong " before where it is another action."""
    pair, chosen = chooser.either(text), chooser.choose(text)
    offered = chooser.choose(text, is_unsure=True)
    for how, named in (
        ("of two", pair),
        ("begun", chosen and (chosen,)),
        ("offered", offered and (offered,)),
    ):
        if named:
            return how if wanted in named else f"wrong {how}"
    return "none"


def print_heard(examples: int, count: int, embed: Embed | None, encoder: str) -> None:
    """Print what becomes of the messages of firms whose actions have so many examples."""
    draw, found = random.Random(examples), dict[str, Counter[str]]()
    for firm in firms()[:count]:
        actions, rest = drawn(firm, examples, draw)
        chooser = ActionChooser(actions, embed, fitted_weights(encoder))
        for style, text, wanted in rest:
            found.setdefault(style, Counter()).update([heard(chooser, text, wanted)])
    print(f"{examples} examples an action, {len(firms()[:count])} firms")
    for style, counts in found.items():
        shares = ", ".join(f"{how} {n / counts.total():.0%}" for how, n in counts.most_common())
        print(f"  {style:<9}{counts.total():>6}  {shares}", flush=True)


def scores(vectors: Vectors, actions: Sequence[Sequence[str]], texts: Sequence[str]) -> Tensor:
    """Return the score of each action, (texts, actions), by the cosines to its texts."""
    owned = vectors([text for each in actions for text in each])
    cosines = (vectors(texts) @ owned.T).split([len(each) for each in actions], dim=1)
    return torch.stack(
        [TAU * ((each / TAU).logsumexp(1) - np.log(each.shape[1])) for each in cosines], dim=1
    )


def print_nearest(vectors: Vectors, tested: Sequence[dict], examples: int) -> None:
    """Print how often a wish of firms is nearest to its action, and the area under the curve."""
    draw, right = random.Random(examples), list[bool]()
    wishes, others = list[float](), list[float]()
    for firm in tested:
        actions, rest = drawn(firm, examples, draw)
        texts = [(each.title, *each.examples) for each in actions]
        found = scores(vectors, texts, [text for _, text, _ in rest])
        for (_, _, wanted), row in zip(rest, found.tolist(), strict=True):
            best = max(range(len(row)), key=row.__getitem__)
            if wanted:
                right.append(actions[best].name == wanted)
            (wishes if wanted else others).append(row[best])
    above = np.mean(np.array(wishes)[:, None] > np.array(others)[None])
    print(
        f"  {examples} examples: nearest is right {sum(right)} of {len(right)} ({np.mean(right):.1%}); area {above:.3f}",
        flush=True,
    )


def tune(rank: int, steps: int) -> None:
    """Train adapters and print the figures before and after."""
    every = firms()
    random.Random(1).shuffle(every)
    trained, tested = every[: int(len(every) * TRAINED)], every[int(len(every) * TRAINED) :]
    engine = open_encoder(USUAL_ENCODER, select_compute("cpu"), Silent())
    model = engine.embedding_model().float()

    def vectors(texts: Sequence[str]) -> Tensor:
        rows = [engine.cut(engine.embedding_ids(text), 96) for text in texts]
        groups = [*batches_by_length([len(row) for row in rows], 2048)]
        padded = (pad_right([rows[i] for i in group], torch.device("cpu")) for group in groups)
        made = torch.cat(
            [F.normalize(model(ids, mask=mask).float(), dim=-1) for ids, mask in padded]
        )
        return made[torch.tensor([i for group in groups for i in group]).argsort()]

    with torch.no_grad():
        for count in (3, 5, 10):
            print_nearest(vectors, tested, count)
    add_lora(model, rank=rank, alpha=2.0 * rank, generator=generator(0, "lora"))
    none, scale = torch.tensor(0.5, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    parts = [
        {"params": lora_parameters(model), "lr": RATE},
        {"params": [none, scale], "lr": 5 * RATE},
    ]
    optimizer = torch.optim.AdamW(parts, betas=(0.9, 0.98), weight_decay=0.01)
    draw = random.Random(0)
    for step in range(steps):
        for part, rate in zip(optimizer.param_groups, (RATE, 5 * RATE), strict=True):
            part["lr"] = rate * min(1, step / 30) * (1 - step / steps)
        actions, rest = drawn(draw.choice(trained), draw.choice([2, 3, 4]), draw)
        names = [each.name for each in actions]
        asked = [
            each
            for name in names
            for each in draw.sample([one for one in rest if one[2] == name], 3)
        ]
        asked += draw.sample([each for each in rest if not each[2]], 10)
        found = scores(
            vectors,
            [(each.title, *each.examples) for each in actions],
            [text for _, text, _ in asked],
        )
        logits = torch.cat([found, none.expand(len(found), 1)], dim=1) * scale.exp()
        loss = F.cross_entropy(
            logits, torch.tensor([[*names, ""].index(name) for *_, name in asked])
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lora_parameters(model), 1.0)
        optimizer.step()
        if step % 25 == 0:
            print(f"step {step}, loss {float(loss):.3f}", flush=True)
    with torch.no_grad():
        for count in (3, 5, 10):
            print_nearest(vectors, tested, count)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--words", action="store_true", help="by words alone")
    parser.add_argument("--encoder", default=USUAL_ENCODER, help="whose vectors are weighed")
    parser.add_argument(
        "--examples", type=int, nargs="+", default=[3, 10], help="of each action, at most 12"
    )
    parser.add_argument("--firms", type=int, default=42, help="how many of them are heard")
    parser.add_argument("--tune", action="store_true", help="train adapters and compare")
    parser.add_argument("--rank", type=int, default=4, help="of the adapters")
    parser.add_argument("--steps", type=int, default=300, help="of training")
    arguments = parser.parse_args()
    if arguments.tune:
        tune(arguments.rank, arguments.steps)
        return
    embed = None
    if not arguments.words:
        embed = embed_by(open_encoder(arguments.encoder, select_compute("cpu"), Silent()))
    for examples in arguments.examples:
        print_heard(examples, arguments.firms, embed, arguments.encoder)


if __name__ == "__main__":
    main()
