"""Train the encoder of messages that the package ships, on the wishes of benchmarks/said_wishes, and compare what is nearest with it and without:

    python benchmarks/message_encoder.py OUT                on all firms; OUT/messages.safetensors and its manifest
    python benchmarks/message_encoder.py OUT --fold 0       on every second firm from the second on (1: from the first on); compared on the others

In each step a firm is drawn, and of each of its actions one to five messages as examples; three others have to be nearest to their own action, near
messages, questions, and wishes for actions that this time were left out to none. Said of the others: how often a wish is nearest to its own action,
and how well the nearest score tells wishes from all that asks for nothing (area under the curve).
"""

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from said_wishes import drawn, firms
from torch import Tensor

from groundup.actions.intent_meaning import TEMPERATURE
from groundup.device import generator, select_compute
from groundup.engine.padded_batch import batches_by_length, pad_right
from groundup.files import make_folder, write_manifest
from groundup.model.lora import add_lora, lora_parameters, shared_copy, without_lora
from groundup.progress import Silent
from groundup.retrieve.message_encoder import ADAPTER_FILE
from groundup.retrieve.reader import encoder_of
from groundup.retrieve.vectors import open_encoder
from groundup.weights.catalog import SENTENCE_ENCODER
from groundup.weights.lora_file import encoder_hashes, write_lora_file

RANK, STEPS, WARM_UP, RATE = 4, 240, 30, 1e-3
MAX_TOKENS, BATCH_TOKENS = 96, 1536
# How often one or two actions of the firm are left out.
LEFT_OUT = 0.5
Vectors = Callable[[Sequence[str]], Tensor]


def scores(vectors: Vectors, actions: Sequence[Sequence[str]], texts: Sequence[str]) -> Tensor:
    """Return the score of each action, (texts, actions), by the cosines to its texts."""
    owned = vectors([text for each in actions for text in each])
    cosines = (vectors(texts) @ owned.T).split([len(each) for each in actions], dim=1)
    return torch.stack(
        [
            TEMPERATURE * ((each / TEMPERATURE).logsumexp(1) - np.log(each.shape[1]))
            for each in cosines
        ],
        dim=1,
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


def episode(firm: dict, draw: random.Random) -> tuple[list[list[str]], list[tuple[str, int]]]:
    """Return the texts of some of a firm's actions, and messages with the place of their action, or
    behind the last one: of none.
    """
    actions = draw.sample(firm["actions"], len(firm["actions"]))
    examples, left_out = draw.randint(1, 5), []
    if draw.random() < LEFT_OUT:
        count = draw.randint(1, 2)
        left_out, actions = actions[:count], actions[count:]
    texts, asked, none = [], [], len(actions)
    for place, each in enumerate(actions):
        messages = draw.sample(each["messages"], examples + 3)
        texts.append([each["title"], *messages[:examples]])
        asked += [(text, place) for text in messages[examples:]]
        asked.append((draw.choice(each["near"]), none))
    asked += [(text, none) for each in left_out for text in draw.sample(each["messages"], 2)]
    asked += [(text, none) for text in draw.sample(firm["questions"], 4)]
    return texts, asked


def train(model: torch.nn.Module, vectors: Vectors, trained: Sequence[dict]) -> None:
    """Train a model's adapters, and a score of none with a scale, which are not kept."""
    none, scale = torch.tensor(0.5, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    own, draw = lora_parameters(model), random.Random(0)
    parts = [{"params": own, "lr": RATE}, {"params": [none, scale], "lr": 5 * RATE}]
    optimizer = torch.optim.AdamW(parts, betas=(0.9, 0.98), weight_decay=0.01)
    share = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, step / WARM_UP) * (1 - step / STEPS)
    )
    for step in range(STEPS):
        texts, asked = episode(draw.choice(trained), draw)
        found = scores(vectors, texts, [text for text, _ in asked])
        logits = torch.cat([found, none.expand(len(found), 1)], dim=1) * scale.exp()
        loss = F.cross_entropy(logits, torch.tensor([place for _, place in asked]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        optimizer.step()
        share.step()
        if step % 20 == 0:
            print(f"step {step} of {STEPS}, loss {float(loss):.3f}", flush=True)


def main() -> None:
    """Train, write and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", type=int, choices=[0, 1], help="train on half of the firms")
    arguments = parser.parse_args()
    every = firms()
    random.Random(1).shuffle(every)
    tested = list[dict]()
    if arguments.fold is not None:
        tested = every[arguments.fold :: 2]
    trained = [firm for firm in every if firm not in tested]
    engine = open_encoder(SENTENCE_ENCODER, select_compute("cpu"), Silent())
    encoder = encoder_of(engine)
    model, base = shared_copy(encoder).float(), encoder_hashes(encoder.transformer)
    add_lora(model, rank=RANK, alpha=2.0 * RANK, generator=generator(0, "lora"))

    def vectors(texts: Sequence[str]) -> Tensor:
        rows = [engine.cut(engine.embedding_ids(text), MAX_TOKENS) for text in texts]
        groups = [*batches_by_length([len(row) for row in rows], BATCH_TOKENS)]
        padded = (pad_right([rows[i] for i in group], torch.device("cpu")) for group in groups)
        with torch.autocast("cpu", torch.bfloat16):
            made = [F.normalize(model(ids, mask=mask).float(), dim=-1) for ids, mask in padded]
        return torch.cat(made)[torch.tensor([i for group in groups for i in group]).argsort()]

    train(model, vectors, trained)
    make_folder(arguments.out)
    card = f"benchmarks/message_encoder.py: {len(trained)} firms, {STEPS} steps"
    write_lora_file(model, arguments.out / ADAPTER_FILE, base, card, torch.int8)
    write_manifest(arguments.out)
    with torch.no_grad():
        for count in (3, 5, 10):
            if tested:
                print_nearest(vectors, tested, count)
                with without_lora(model):
                    print_nearest(vectors, tested, count)


if __name__ == "__main__":
    main()
