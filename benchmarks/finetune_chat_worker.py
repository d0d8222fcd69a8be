"""One contender of finetune.py's table "chat" in a process of its own: it trains, one step each time that it is told to.

    python finetune_chat_worker.py CONTENDER MODEL DATA PRECISION FOLDER       (TRL: with the python of its own environment)

DATA is the JSON file of `finetune.py`: rows with ids and labels, and the batches of an epoch. It answers one JSON line when it is ready for its
first step and one after each step: its seconds, seconds of processor time, loss and supervised
tokens. Nothing of ours is imported where it is not ours that runs.
"""

import json
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false"
)

RANK, ALPHA, LEARNING_RATE, CLIP_NORM, EPOCHS = 8, 16, 5e-4, 1.0, 3


class Turns:
    """Lets the thread that trains work until its next step is done, one step at a time."""

    def __init__(self) -> None:
        self._told, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self.loss, self.tokens, self.error = 0.0, 0, ""

    def run(self, train: Any) -> None:
        """In the thread: train, and hand over an error."""
        try:
            train()
            self.error = "the training is over: too many steps were asked for"
        except Exception as error:
            self.error = repr(error)
        self._done.release()

    def await_ready(self) -> None:
        """Wait until the first step could begin."""
        self._done.acquire()

    def step(self) -> dict[str, Any]:
        """Have one step done."""
        started, cpu = time.perf_counter(), time.process_time()
        self._told.release()
        self._done.acquire()
        taken = {"seconds": time.perf_counter() - started, "cpu_s": time.process_time() - cpu}
        return {**taken, "loss": self.loss, "tokens": self.tokens, "error": self.error}

    def next(self) -> None:
        """In the thread, at the end of a step: wait for the next turn."""
        self._done.release()
        self._told.acquire()


class Watcher:
    """A Progress of ours that is a callback of the run: it gives the turn away after each step."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.read = turns, 0

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)

    def track(self, what: str, total: float, unit: str = "") -> Any:
        from groundup.progress import Silent

        return Silent().track(what, total, unit)

    def begin(self, facts: Any) -> None:
        pass

    def observe(self, line: Any) -> None:
        if line.get("event") == "evaluation":
            assert line["step"] == 0, "an evaluation within the steps that are timed"
            self.turns.next()
        elif "loss" in line:
            self.turns.loss, self.turns.tokens, self.read = (
                line["loss"],
                line["tokens"] - self.read,
                line["tokens"],
            )
            self.turns.next()

    def close(self) -> None:
        pass


def ours(
    turns: Turns,
    model: str,
    data: dict[str, Any],
    precision: str,
    folder: str,
    *,
    recompute: bool = False,
) -> None:
    """What `groundup finetune chat` calls, on the same instructions, which it renders itself."""
    import groundup

    config = groundup.ChatConfig(
        epochs=EPOCHS,
        rank=RANK,
        alpha=ALPHA,
        batch_size=len(max(data["batches"], key=len)),
        learning_rate=LEARNING_RATE,
        precision=precision,
        recompute=recompute,
    )
    out = Path(folder) / "run"
    groundup.finetune_chat(model, data["source"], out, config, progress=Watcher(turns))


def trl(
    turns: Turns,
    model: str,
    data: dict[str, Any],
    precision: str,
    folder: str,
    *,
    our_batches: bool = True,
    checkpointing: bool = True,
) -> None:
    """SFTTrainer with PEFT's LoRA around all linear layers on the same rows, in our batches or in its own random ones."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from torch.utils.data import DataLoader
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class SameBatches(SFTTrainer):
        def get_train_dataloader(self) -> Any:
            if not our_batches:
                return super().get_train_dataloader()
            return DataLoader(
                self.train_dataset.with_format(None),
                batch_sampler=data["batches"],
                collate_fn=self.data_collator,
            )

        def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            turns.tokens = int((inputs["labels"][:, 1:] >= 0).sum())
            loss = super().training_step(model, inputs, *args, **kwargs)
            turns.loss = float(loss)
            return loss

    class OneStep(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            turns.next()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            turns.next()

    arguments = SFTConfig(
        output_dir=str(Path(folder) / "trl"),
        per_device_train_batch_size=len(max(data["batches"], key=len)),
        num_train_epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        max_grad_norm=CLIP_NORM,
        weight_decay=0.0,
        use_cpu=True,
        bf16=precision == "bf16",
        gradient_checkpointing=checkpointing,
        model_init_kwargs={"dtype": torch.float32},
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    rows = Dataset.from_list(data["rows"])
    SameBatches(
        model=model, args=arguments, train_dataset=rows, peft_config=lora, callbacks=[OneStep()]
    ).train()


CONTENDERS = {
    "groundup": ours,
    "groundup, recompute": partial(ours, recompute=True),
    "TRL + PEFT": partial(trl, our_batches=False),
    "TRL, our batches": trl,
    "TRL, our batches, no checkpointing": partial(trl, checkpointing=False),
}


def main(contender: str, model: str, data: str, precision: str, folder: str) -> None:
    """Answer until no more lines come."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is log
    turns, given = Turns(), json.loads(Path(data).read_text())
    work = partial(CONTENDERS[contender], turns, model, given, precision, folder)
    threading.Thread(target=turns.run, args=(work,), daemon=True).start()
    turns.await_ready()
    print(json.dumps({"error": turns.error}), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(turns.step()), file=answers, flush=True)
    os._exit(0)  # the thread waits for a turn that never comes


if __name__ == "__main__":
    main(*sys.argv[1:])
