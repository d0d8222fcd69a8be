"""The base model shown examples of each label, beside zero-shot, where that takes little time: what
prompts alone can do with the same data.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.data.documents import Example
from groundup.device import Compute
from groundup.errors import ConfigError, ModelError
from groundup.evaluate.tasks.classification import ZERO_SHOT_ITEMS
from groundup.evaluate.tasks.few_shot import CHOSEN_ON, SHOTS, FewShot, choose_shots
from groundup.progress import Progress
from groundup.weights.model_io import OpenModel

# Where nothing is said of few_shot, the base model is asked so if it takes at most this long.
MAX_S = 60.0
SHOWN = "the base model, shown examples"


def ask_after_examples(
    few: FewShot,
    opened: OpenModel,
    splits: Mapping[str, Sequence[Example]],
    shots: int | None,
    *,
    zero_shot_s: float,
    items: int = ZERO_SHOT_ITEMS,
    compute: Compute,
    progress: Progress,
) -> tuple[list[str], dict[str, Any]] | None:
    """Return the labels of the first `items` test texts and what was chosen; None where it is left
    out, with the reason said.

    `shots`: examples of each label; 0: not asked; None: chosen on validation texts where that takes
    at most MAX_S, judged by the seconds that zero-shot took on the same texts. Raises ConfigError
    for fewer.
    """
    texts = [example.text for example in splits["test"][:items]]
    if shots is not None and shots < 0:
        raise ConfigError(
            f"few_shot must be 0 or more (got {shots}).",
            fix="Give the examples of each label, as 2.",
        )
    if shots == 0 or not texts:
        return None
    begun, tried = time.monotonic(), list[dict[str, Any]]()
    try:
        if shots is None:
            tried_on = [example.text for example in splits["validation"][:CHOSEN_ON]]
            seconds = expected_s(few, opened, texts, tried_on, zero_shot_s)
            if seconds > MAX_S:
                progress.say(
                    f"Left out: {SHOWN}, which would take about {seconds:.0f} s; "
                    f"few_shot = {SHOTS[0]} asks it so."
                )
                return None
            tried = choose_shots(
                few, opened, splits["validation"], compute=compute, progress=progress
            )
            shots = tried[0]["shots"]
        if not few.fits(texts, shots, opened):
            raise ModelError(
                f"{shots} examples of each label do not fit the context of {opened.config.context_tokens}."
            )
        predicted = few.predict(opened, texts, shots, compute=compute, progress=progress)
    except ModelError as error:
        progress.say(f"Left out: {SHOWN}. {error}")
        return None
    asked = {"shots": shots, "tried": tried, "asked": len(texts), "of": len(splits["test"])}
    elapsed_s = round(time.monotonic() - begun, 1)
    progress.say(
        f"{SHOWN}: {shots} of each label, {len(texts):,} texts asked about in {elapsed_s:.0f} s."
    )
    return predicted, {**asked, "elapsed_s": elapsed_s}


def expected_s(
    few: FewShot,
    opened: OpenModel,
    asked: Sequence[str],
    validation: Sequence[str],
    zero_shot_s: float,
) -> float:
    """Return about how long choosing and asking take, at the speed of zero-shot.

    Raises ModelError where no number of examples fits.
    """
    tokenizer = opened.require_tokenizer()
    fitting = [shots for shots in SHOTS if few.fits(validation, shots, opened)]
    if not fitting:
        raise ModelError(
            f"The context of {opened.config.context_tokens} tokens is too short for an example of each label."
        )
    chosen_on = sum(few.tokens(validation, shots, tokenizer) for shots in fitting)
    token_s = zero_shot_s / few.tokens(asked, 0, tokenizer)
    return token_s * (chosen_on + few.tokens(asked, fitting[-1], tokenizer))
