"""One contender of model.py in a process of its own: it builds its model, then does what it is told, a line at a time.

    python model_worker.py CONTENDER FOLDER ROWS CONTEXT PRECISION       (litgpt: with the python of its own environment)

FOLDER holds the model as Hugging Face's files. Told "forward" or "step" it does that once and answers with the seconds and the loss, told
"memory" with the MB by which it has grown since its libraries were imported. Nothing of ours is imported where it is not ours that runs.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
import torch._dynamo  # (an optimizer imports it; not to be counted as a model's memory)
import torch.nn.functional as F
from torch import Tensor, nn

LEARNING_RATE, CLIP_NORM = 1e-4, 1.0
SEED = 0
Work = Callable[[], float]
Loss = Callable[[Tensor, Tensor], Tensor]


def main(contender: str, folder: str, rows: str, context: str, precision: str) -> None:
    """Answer until the line is empty."""
    build = CONTENDERS[contender]
    IMPORTS[contender]()
    before = peak_mb()
    forward, step = build(Path(folder), int(rows), int(context), precision == "bf16")
    for line in sys.stdin:
        told = line.strip()
        if told == "memory":
            answer = {"mb": peak_mb() - before}
        else:
            started = time.perf_counter()
            loss = {"forward": forward, "step": step}[told]()
            answer = {"seconds": time.perf_counter() - started, "loss": loss}
        print(json.dumps(answer), flush=True)


def ours(
    folder: Path,
    rows: int,
    context: int,
    bf16: bool,
    optimizer_name: str = "adamw",
    compile: bool = False,
) -> tuple[Work, Work]:
    """The parts that fit() puts together for a step, and those of its evaluation; compiled as in long runs."""

    from groundup.data.batches.loader import Batch
    from groundup.device import Compute, keep_freed_memory
    from groundup.model.matmul_precision import fast_matmul
    from groundup.train.steps.compiled import compile_loss, repeatable
    from groundup.train.steps.config import pretraining_config
    from groundup.train.steps.losses import next_token_loss
    from groundup.train.steps.step import autocast, average_and_clip, sum_gradients
    from groundup.weights.model_io import open_model

    device = torch.device("cpu")
    keep_freed_memory()
    model = open_model(folder, Compute(device)).model.train()
    config = pretraining_config(
        1, {"optimizer": {"name": optimizer_name, "learning_rate": LEARNING_RATE}}
    )
    optimizer, parameters = config.optimizer.build(model), list(model.parameters())
    batch = Batch(*ids_and_labels(rows, context, vocabulary(folder)))
    step_loss = compile_loss(next_token_loss) if compile else next_token_loss

    def forward() -> float:
        with torch.no_grad(), fast_matmul(device), autocast(device, bf16):
            loss = next_token_loss(model, batch)
        return loss.total.item() / loss.count

    def step() -> float:
        optimizer.zero_grad()
        with repeatable(compile, device):
            summed = sum_gradients(model, [batch], step_loss, device=device, bf16=bf16)
        average_and_clip(parameters, summed.count, CLIP_NORM)
        optimizer.step()
        return summed.mean

    return forward, step


def transformers_(folder: Path, rows: int, context: int, bf16: bool) -> tuple[Work, Work]:
    """transformers' own class with its SDPA attention, in the loop of every tutorial. Set to evaluation: without dropout, as ours has none."""
    from peers import load_transformers

    model = load_transformers(folder, torch.float32)
    return plain(
        model, lambda ids: model(input_ids=ids, use_cache=False).logits, folder, rows, context, bf16
    )


def transformers_fast(folder: Path, rows: int, context: int, bf16: bool) -> tuple[Work, Work]:
    """The same, given the two settings of torch and of the C library that we set: what is left is our own code."""
    from groundup.device import keep_freed_memory
    from groundup.model.matmul_precision import fast_matmul

    keep_freed_memory()
    forward, step = transformers_(folder, rows, context, bf16)

    def inside(work: Work) -> Work:
        def run() -> float:
            with fast_matmul(torch.device("cpu")):
                return work()

        return run

    return inside(forward), inside(step)


def plain_pytorch(
    folder: Path, rows: int, context: int, bf16: bool, compile: bool = False
) -> tuple[Work, Work]:
    """A model of torch's own parts in the same loop; compiled, with its loss in the same graph."""
    from plain_llama import PlainLlama

    model = PlainLlama(folder)
    if not compile:
        return plain(model, model, folder, rows, context, bf16)
    loss = torch.compile(lambda ids, labels: cross_entropy(model(ids), labels), dynamic=False)
    forward, _ = plain(model, model, folder, rows, context, bf16)
    _, step = plain(model, lambda ids: ids, folder, rows, context, bf16, loss)
    return forward, step


def trainer(folder: Path, rows: int, context: int, bf16: bool) -> tuple[Work, Work]:
    """transformers' Trainer over rows in memory, its own AdamW and clipping. It has no forward pass alone: transformers' stands for it.

    It runs in a thread, and is let go for one step at a time: its start is not measured, all that it does around a step is.
    """
    from peers import load_transformers
    from transformers import Trainer, TrainerCallback, TrainingArguments

    turn = Turns()

    class OneStep(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            turn.wait()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            turn.done()

    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=rows,
        max_steps=10**6,
        learning_rate=LEARNING_RATE,
        max_grad_norm=CLIP_NORM,
        use_cpu=True,
        bf16=bf16,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    ids, _ = ids_and_labels(rows, context, vocabulary(folder))
    model = load_transformers(folder, torch.float32)
    data = [{"input_ids": row, "labels": row} for row in ids]
    training = Trainer(model=model, args=arguments, train_dataset=data, callbacks=[OneStep()])
    threading.Thread(target=training.train, daemon=True).start()
    forward, _ = plain(
        model, lambda ids: model(input_ids=ids, use_cache=False).logits, folder, rows, context, bf16
    )

    def step() -> float:
        turn.give()
        return 0.0

    return forward, step


class Turns:
    """Lets another thread work for one turn at a time."""

    def __init__(self) -> None:
        self.mine, self.theirs = threading.Semaphore(0), threading.Semaphore(0)

    def give(self) -> None:
        """Have the other do one turn."""
        self.theirs.release()
        self.mine.acquire()

    def wait(self) -> None:
        """The other: until it is its turn."""
        self.theirs.acquire()

    def done(self) -> None:
        """The other: its turn is over."""
        self.mine.release()


def litgpt(folder: Path, rows: int, context: int, bf16: bool) -> tuple[Work, Work]:
    """litgpt's model and its cross-entropy in pieces, as its own pretraining calls them."""
    from litgpt import GPT, Config
    from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
    from litgpt.utils import chunked_cross_entropy
    from safetensors.torch import load_file

    model = GPT(Config(**litgpt_config(json.loads((folder / "config.json").read_text()))))
    state: dict[str, Tensor] = {}
    copy_weights_hf_llama(model.config, {}, state, load_file(folder / "model.safetensors"))
    model.load_state_dict(state)
    model.max_seq_length = context
    return plain(model, model, folder, rows, context, bf16, chunked_cross_entropy)


def litgpt_config(hf: dict[str, Any]) -> dict[str, Any]:
    """A Llama in litgpt's words."""
    return {
        "block_size": hf["max_position_embeddings"],
        "n_layer": hf["num_hidden_layers"],
        "n_embd": hf["hidden_size"],
        "n_head": hf["num_attention_heads"],
        "n_query_groups": hf["num_key_value_heads"],
        "intermediate_size": hf["intermediate_size"],
        "padded_vocab_size": hf["vocab_size"],
        "norm_class_name": "RMSNorm",
        "norm_eps": hf["rms_norm_eps"],
        "mlp_class_name": "LLaMAMLP",
        "rotary_percentage": 1.0,
        "parallel_residual": False,
        "bias": False,
    }


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """As tutorials write it."""
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def plain(
    model: nn.Module,
    logits: Callable[[Tensor], Tensor],
    folder: Path,
    rows: int,
    context: int,
    bf16: bool,
    loss: Loss = cross_entropy,
) -> tuple[Work, Work]:
    """Forward, backward, clipping, fused AdamW."""
    ids, labels = ids_and_labels(rows, context, vocabulary(folder))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)

    def autocast() -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16)

    def forward() -> float:
        with torch.no_grad(), autocast():
            return loss(logits(ids), labels).item()

    def step() -> float:
        optimizer.zero_grad()
        with autocast():
            value = loss(logits(ids), labels)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        return value.item()

    return forward, step


def vocabulary(folder: Path) -> int:
    """V of the model in `folder`."""
    return int(json.loads((folder / "config.json").read_text())["vocab_size"])


def ids_and_labels(rows: int, context: int, vocab_size: int) -> tuple[Tensor, Tensor]:
    """The same random ids for all."""
    ids = torch.randint(
        vocab_size, (rows, context + 1), generator=torch.Generator().manual_seed(SEED)
    )
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def peak_mb() -> float:
    """The most memory this process has had."""
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1000


def import_ours() -> None:
    """What is imported before memory is counted from."""
    import groundup.train.steps.losses
    import groundup.weights.model_io  # noqa: F401


def import_transformers() -> None:
    """The same for transformers."""
    import peers  # noqa: F401
    import transformers.models.gpt2.modeling_gpt2  # noqa: F401


def import_plain() -> None:
    """The same for the plain model."""
    import plain_llama  # noqa: F401


def import_litgpt() -> None:
    """The same for litgpt."""
    import litgpt.scripts.convert_hf_checkpoint  # noqa: F401


CONTENDERS = {
    "groundup": ours,
    "groundup, Muon": partial(ours, optimizer_name="muon"),
    "groundup, compiled": partial(ours, compile=True),
    "transformers": transformers_,
    "transformers, our settings": transformers_fast,
    "transformers Trainer": trainer,
    "plain PyTorch": plain_pytorch,
    "plain PyTorch, compiled": partial(plain_pytorch, compile=True),
    "litgpt": litgpt,
}
IMPORTS = {
    "groundup": import_ours,
    "groundup, Muon": import_ours,
    "groundup, compiled": import_ours,
    "transformers": import_transformers,
    "transformers, our settings": import_transformers,
    "transformers Trainer": import_transformers,
    "plain PyTorch": import_plain,
    "plain PyTorch, compiled": import_plain,
    "litgpt": import_litgpt,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
