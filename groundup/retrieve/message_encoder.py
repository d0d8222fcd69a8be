"""The encoder of customers' messages: whether one asks for an action, and for which.

    "we won't be coming after all"  ->  encoder with a LoRA adapter  ->  vector near to that of
                                        "cancel my booking", far from "how much is it to cancel?"

A sentence encoder puts what speaks about the same thing together, whether it asks for something to
be done or only about it. The adapter was trained on the wishes of invented firms' customers, a few
of an action's own texts against the other actions of its firm and what asks for nothing (a softmax
over the pooled cosines, as in prototypical networks, Snell et al. 2017), so that three examples of
an action say more (`benchmarks/said_wishes.py`; docs/actions.md has the figures). The package has
one for all-minilm-l6-v2 in `message_adapters/`.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from groundup.actions.intent_meaning import MessageEncoder
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.precision import open_in
from groundup.errors import ModelError
from groundup.files import verify_folder
from groundup.model.lora import shared_copy
from groundup.progress import Progress
from groundup.retrieve.name_reader import find_name_reader
from groundup.retrieve.reader import encoder_of
from groundup.weights.catalog import SENTENCE_ENCODER
from groundup.weights.lora_file import attach_lora_file
from groundup.weights.pulled import pulled

PACKAGED = Path(__file__).with_name("message_adapters") / "all-minilm-l6-v2"
ADAPTER_FILE = "messages.safetensors"


def open_message_encoder(engine: Engine, folder: Path = PACKAGED) -> MessageEncoder:
    """Open the adapter in `folder` on an open encoder, whose weights are shared, with its reader of
    names where there is one.

    Raises FormatError for a damaged adapter, ModelError for another encoder.
    """
    encoder = shared_copy(encoder_of(engine))
    verify_folder(folder)
    attach_lora_file(encoder, encoder.transformer, folder / ADAPTER_FILE)
    tuned = Engine(replace(engine.opened, model=encoder), engine.compute)
    names = find_name_reader(engine)
    return MessageEncoder(
        wishes=lambda texts: tuned.embed(texts).numpy(),
        texts=lambda texts: engine.embed(texts).numpy(),
        mark_names=names.mark if names else None,
    )


def find_message_encoder(
    compute: Compute, progress: Progress, engine: Engine | None = None
) -> MessageEncoder | None:
    """Return the encoder of messages on an open encoder, which shares its weights, or on
    SENTENCE_ENCODER; None: that is not on this machine. Raises FormatError.
    """
    if engine is not None:
        with suppress(ModelError):  # trained on another encoder
            return open_message_encoder(engine)
    if pulled(SENTENCE_ENCODER) is None:
        return None
    opened = open_in("float32", SENTENCE_ENCODER, compute, progress=progress)
    return open_message_encoder(Engine(*opened))
