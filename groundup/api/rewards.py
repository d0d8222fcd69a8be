"""`finetune_reward`: a chat model learns what earns a reward that code gives."""

from pathlib import Path
from typing import TYPE_CHECKING

from groundup.api.training import card_of
from groundup.config import checked_arguments
from groundup.data.reading.data import Data
from groundup.finetune.reward_config import RewardConfig
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder

if TYPE_CHECKING:
    from groundup.finetune.reward import RewardResults

AnyPath = str | Path


@checked_arguments
def finetune_reward(
    model: AnyPath,
    task: AnyPath,
    out: AnyPath,
    config: RewardConfig = RewardConfig(),
    *,
    device: str = "auto",
    fixed_choices: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> "RewardResults":
    """Teach a chat model what earns a reward that code gives (GRPO). Return what results.json holds.

    `task`: "addition", "letter-counting", "dates", "json-extraction", or a .jsonl file with rows of
    prompt, answer and reward
    (`config.reward` for those without one). A reward is a known one or a function of yours, which
    is run. Raises ConfigError, DataError, FormatError, ModelError, NetworkError.

    >>> config = groundup.RewardConfig(steps=1, items=20, validation=8, test=10, answer_tokens=4)
    >>> results = groundup.finetune_reward("runs/mine", "addition", "runs/adds", config)
    >>> results.score["after"]["n"]
    10
    """
    from groundup.device import select_compute
    from groundup.finetune.reward import KIND, fit_reward
    from groundup.finetune.reward_tasks import open_task
    from groundup.finetune.time_limit import TimeLimit
    from groundup.train.run_lifecycle import claim_folder
    from groundup.weights.model_io import open_model, require_model

    limit = TimeLimit.of(config.budget)
    compute = select_compute(device, fixed_choices=fixed_choices)
    progress, run = progress or Silent(), RunFolder(Path(out))
    require_model(model)
    asked = open_task(str(task), config)
    claim_folder(run, kind=KIND, fresh=fresh)
    opened = open_model(model, compute, progress=progress)
    summary = f"Tuned on rewards for {asked.name} (GRPO)."
    card = card_of(run, summary, Data(str(task)), model, opened.license)
    return fit_reward(
        opened, asked, run, config, compute=compute, progress=progress, card=card, limit=limit
    )
