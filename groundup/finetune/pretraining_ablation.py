"""What pretraining is worth: the same labelled texts or conversations, learned from random weights,
by the same model pretrained, by a public one; both small models whole, in the same way, with the
same seed. Compared, paired, on the same test texts, or on the same held-out answers, in bits per
byte, since a public model has another tokenizer.
"""

import dataclasses
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from groundup.data.documents import ChatExample, to_conversation
from groundup.data.reading.example_splits import hold_out
from groundup.device import Compute
from groundup.evaluate.metrics import ratio_interval
from groundup.evaluate.paired import ratio_difference, share_difference
from groundup.evaluate.task import as_measure, language_model
from groundup.evaluate.tasks.answers import answer_nats
from groundup.evaluate.tasks.label_figures import compare
from groundup.files import TMP_PREFIX
from groundup.finetune.chat_training import ChatResults
from groundup.finetune.classifier import fit_classifier
from groundup.finetune.classifier_results import OURS, ClassifierResults
from groundup.finetune.config import ChatConfig, ClassifierConfig
from groundup.finetune.instruct import fit_chat
from groundup.finetune.messages import Splits
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.chat import Rendered, render
from groundup.train.pretrain import new_model
from groundup.train.run_lifecycle import write_finished
from groundup.train.steps.config import FINETUNE_LEARNING_RATE
from groundup.weights.model_io import OpenModel

Results = TypeVar("Results", ClassifierResults, ChatResults)
PUBLIC, OWN, RANDOM = "the public model", "pretrained here", "random weights"


def ablation_config(max_tokens: int, seed: int) -> ClassifierConfig:
    """Whole, at one rate: those for a pretrained model hardly move random weights."""
    return ClassifierConfig(
        max_tokens=max_tokens,
        train="all",
        learning_rate=FINETUNE_LEARNING_RATE,
        precision="float32",
        seed=seed,
    )


def add_pretraining_ablation(
    results: ClassifierResults,
    own: OpenModel,
    splits: Splits,
    run: RunFolder,
    config: ClassifierConfig,
    *,
    compute: Compute,
    progress: Progress,
) -> ClassifierResults:
    """Add the comparison to a public model's results. Raises what `fit_classifier` raises."""
    predicted = {PUBLIC: results.predictions[OURS]}
    for name, opened in _both(own, config.seed, compute):
        progress.say(f"      the same messages, learned from {name}")
        with _folder_apart(run) as folder:
            learned = fit_classifier(opened, splits, folder, config, compute=compute)
        predicted[name] = learned.predictions[OURS]
    assert results.positive is not None
    actual = [example.label for example in splits["test"]]
    rows, _ = compare(predicted, actual, tuple(results.labels), results.positive)
    right = {
        name: [a == p for a, p in zip(actual, labels, strict=True)]
        for name, labels in predicted.items()
    }
    found = {
        "models": rows,
        "own_over_random": share_difference(right[RANDOM], right[OWN]).plain(),
        "public_over_own": share_difference(right[OWN], right[PUBLIC]).plain(),
    }
    return _write(results, {**found, **_trained(own, config)}, run)


def chat_ablation_config(config: ChatConfig, own: OpenModel) -> ChatConfig:
    """Whole, at one rate."""
    limit = config.limit(own.config.context_tokens)
    whole = dataclasses.replace(
        config, train="all", merge=False, learning_rate=FINETUNE_LEARNING_RATE
    )
    return dataclasses.replace(whole, max_tokens=limit, precision="float32")


def add_chat_ablation(
    results: ChatResults,
    public: OpenModel,
    own: OpenModel,
    examples: Sequence[ChatExample],
    run: RunFolder,
    config: ChatConfig,
    *,
    compute: Compute,
    progress: Progress,
) -> ChatResults:
    """Add the comparison to the results of `public`, on the held-out answers that both tokenizers'
    models can read whole. Raises what `fit_chat` raises.
    """
    small = chat_ablation_config(config, own)
    held_out = [
        each
        for each in hold_out(examples, config.seed).held_out
        if max(len(_rendered(opened, each).ids) for opened in (public, own))
        <= (small.max_tokens or 0)
    ]
    if not held_out:
        return without_pretraining_ablation(
            results, run, f"no held-out answer ends within {small.max_tokens} tokens"
        )
    sizes = [_answer_bytes(example) for example in held_out]
    bits = {PUBLIC: _answer_bits(public, held_out, compute)}
    for name, opened in _both(own, config.seed, compute):
        progress.say(f"      the same conversations, learned from {name}")
        with _folder_apart(run) as folder:
            fit_chat(opened, examples, folder, small, compute=compute)
        bits[name] = _answer_bits(opened, held_out, compute)
    losses = {name: ratio_interval(each, sizes) for name, each in bits.items()}
    found = {
        "models": [
            {
                "name": name,
                "loss": as_measure("bits_per_byte", loss, len(held_out), better="lower").plain(),
            }
            for name, loss in losses.items()
        ],
        "own_over_random": ratio_difference(bits[RANDOM], bits[OWN], sizes).plain("lower"),
        "public_over_own": ratio_difference(bits[OWN], bits[PUBLIC], sizes).plain("lower"),
    }
    return _write(results, {**found, **_trained(own, small)}, run)


def without_pretraining_ablation(results: Results, run: RunFolder, reason: str) -> Results:
    return _write(results, {"skipped": reason}, run)


def _trained(own: OpenModel, config: ClassifierConfig | ChatConfig) -> dict[str, float | None]:
    parameters = sum(parameter.numel() for parameter in own.model.parameters())
    return {"parameters": parameters, "learning_rate": config.learning_rate}


def _both(own: OpenModel, seed: int, compute: Compute) -> list[tuple[str, OpenModel]]:
    random = dataclasses.replace(own, model=new_model(own.config, seed, compute))
    return [(OWN, own), (RANDOM, random)]


@contextmanager
def _folder_apart(run: RunFolder) -> Iterator[RunFolder]:
    """Yield the folder of a run that is not kept."""
    folder = run.path.with_name(f"{TMP_PREFIX}worth")
    shutil.rmtree(folder, ignore_errors=True)  # of a stopped call
    try:
        yield RunFolder(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rendered(opened: OpenModel, example: ChatExample) -> Rendered:
    return render(to_conversation(example), opened.require_tokenizer(), learn_calls=True)


def _answer_bits(
    opened: OpenModel, examples: Sequence[ChatExample], compute: Compute
) -> list[float]:
    model, _ = language_model(opened)
    nats, _ = answer_nats(model, [_rendered(opened, each) for each in examples], compute=compute)
    return [each / math.log(2) for each in nats]


def _answer_bytes(example: ChatExample) -> int:
    turns = to_conversation(example).messages
    return sum(len(turn.content.encode()) for turn in turns if turn.role == "assistant")


def _write(results: Results, pretraining: dict[str, Any], run: RunFolder) -> Results:
    results = dataclasses.replace(results, pretraining=pretraining)
    write_finished(run, results.plain())
    return results
