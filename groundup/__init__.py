"""groundup: build your own language model from the ground up, and understand every stage.

Order of the rooms (imports point right, never left; `tests/test_architecture.py` checks it):

    cli > bundle > api, course > recipes, research > report, planning, finetune, integrations >
        serve, train > lab, retrieve, evaluate > engine > data, weights > kernels, tokenizer, runs,
        packs > actions > http, model > config, device, fetch > cache > locks, migrations, offline >
        progress, files, html_nodes, threads, palette, limited_process, garbage_collection,
        language, risk > operating_system > errors

Importing the package does nothing. The names in `__all__` are those of `groundup/api/public.py`, which is
imported when one of them is first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "SGD",
    "AdamW",
    "BuildConfig",
    "ChatConfig",
    "Checkpoints",
    "ClassifierConfig",
    "ContinuedTraining",
    "Data",
    "EncoderConfig",
    "EvaluationConfig",
    "MixtureSearchConfig",
    "Model",
    "ModelShape",
    "Muon",
    "PreferenceConfig",
    "PretrainConfig",
    "PretrainResults",
    "QuestionsConfig",
    "ResearchConfig",
    "RewardConfig",
    "Rows",
    "Schedule",
    "SourceShares",
    "Stability",
    "Switch",
    "TextPreparation",
    "ask",
    "build",
    "calibrate_index",
    "convert",
    "finetune_chat",
    "finetune_classifier",
    "finetune_encoder",
    "finetune_preference",
    "finetune_reward",
    "index",
    "inspect_data",
    "make_questions",
    "open_assistant",
    "open_model",
    "pretrain",
    "pull",
    "run_evaluation",
    "run_memorised",
    "run_questions",
    "run_research",
    "run_suites",
    "search",
    "search_mixture",
    "train_tokenizer",
    "tune_index",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'groundup' has no attribute {name!r}")
    return getattr(importlib.import_module("groundup.api.public"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
