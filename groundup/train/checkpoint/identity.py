"""The identity of a run: config, data and model, by which two calls of `fit()` are the same run.
Written to RUN/fit.json before the first step.

A call with another identity is refused with the differences: it would give a run that is neither
the old nor the new one. What no result depends on may change: how many checkpoints and snapshots
are kept, recomputed activations, and the number of processes, which changes last bits only.
"""

import hashlib
import json
from typing import Any

import torch
from torch import nn

from groundup.config import to_plain
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json, sha256_text, write_json
from groundup.model.experts import Experts
from groundup.runs import RunFolder, package_version
from groundup.train.steps.config import FitConfig
from groundup.train.steps.optimizers import trainable
from groundup.train.steps.precision import MeasuredPrecision, MuonDecision
from groundup.train.steps.process_group import ProcessGroup

# No result depends on these, but for last bits.
FREE_FIELDS = ("checkpoint_every", "keep_checkpoints", "snapshots", "recompute", "parallel")
# Newer than the first runs: left out where they have the value that was the only one, so that those
# runs are still the same.
LATER_FIELDS = (
    *("optimizer", "schedule", "max_skipped", "compile", "muon_precision"),
    *("start_context_tokens", "stride", "packing", "mixture", "initial_weights"),
)
DEFAULTS = to_plain(FitConfig(1))
ONE_PROCESS = "1"
FRESH = "Use the old settings to resume it, or --fresh to start again."


def identify(model: nn.Module, data_fingerprint: str, config: FitConfig) -> dict[str, Any]:
    """Return the identity of a run as plain values."""
    shapes = {name: [str(p.dtype), *p.shape] for name, p in trainable(model).items()}
    return {
        "config": _fields(
            config, experts=any(isinstance(part, Experts) for part in model.modules())
        ),
        "data": data_fingerprint,
        "trained": sha256_text(json.dumps(shapes, sort_keys=True)),
        "base": frozen_fingerprint(model),
    }


def _fields(config: FitConfig, *, experts: bool) -> dict[str, Any]:
    """The fields of a config that results depend on."""
    muon, rolls_back = config.optimizer == "muon", config.rollback_nats is not None
    counts = {
        **dict.fromkeys(FREE_FIELDS, False),
        **dict.fromkeys(("muon_learning_rate", "muon_momentum", "muon_precision"), muon),
        **dict.fromkeys(("max_rollbacks", "checkpoint_every"), rolls_back),  # to a checkpoint
        "balance_weight": experts,
        "decay_steps": config.schedule == "wsd",
        "start_share": config.start_context_tokens is not None,
    }
    plain = to_plain(config)
    later = [name for name in LATER_FIELDS if plain.get(name) == DEFAULTS.get(name)]
    plain["mixture"] = config.mixture.plain()
    return {
        name: value for name, value in plain.items() if counts.get(name, True) and name not in later
    }


def identity_hash(identity: dict[str, Any]) -> str:
    """SHA-256 of an identity, kept in each checkpoint."""
    return sha256_text(json.dumps(identity, sort_keys=True))


def frozen_fingerprint(model: nn.Module) -> str:
    """SHA-256 of the frozen weights: they are in no checkpoint, so resuming needs the same ones. ""
    where all train.
    """
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    if not frozen:
        return ""
    digest = hashlib.sha256()
    for name, parameter in sorted(frozen.items()):
        digest.update(f"{name} {parameter.dtype} {list(parameter.shape)}\n".encode())
        digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return the differences between two identities, one phrase each."""
    before, now = old.get("config"), new["config"]
    before = before if isinstance(before, dict) else {}
    left_out = {name: DEFAULTS.get(name, "unset") for name in LATER_FIELDS}
    found = changed_fields({**left_out, **before}, {**left_out, **now})
    named = {
        "data": "the data are not the same",
        "trained": "the shape of what is trained is not the same",
        "base": "the frozen base model is not the same",
    }
    return found + [phrase for name, phrase in named.items() if old.get(name) != new[name]]


def changed_fields(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return a phrase for each field of which the values differ."""
    names = (name for name in sorted({**before, **now}) if before.get(name) != now.get(name))
    return [
        f"{name} was {before.get(name, 'unset')} and is {now.get(name, 'unset')}" for name in names
    ]


def machine(compute: Compute, config: FitConfig, group: ProcessGroup) -> dict[str, Any]:
    """What the last bits of the arithmetic depend on."""
    return {
        "device": compute.device.type,
        "bf16": compute.has_bf16,
        "threads": compute.thread_counts[0]
        if compute.thread_counts
        else torch.get_num_threads(),  # the most
        "torch": package_version("torch"),
        "processes": ONE_PROCESS if group.world == 1 else f"{group.world} by {config.parallel}",
    }


def write_record(
    run: RunFolder,
    identity: dict[str, Any],
    decision: MeasuredPrecision,
    muon: MuonDecision,
    machine: dict[str, Any],
) -> dict[str, Any]:
    """Write fit.json and return it: identity, precisions and compiling with the figures that
    decided them, machine.
    """
    record = {
        "identity": identity,
        "precision": decision.precision,
        "compiled": decision.compiled,
        "step_s": decision.step_s,
        "machine": machine,
        **muon.described(),
    }
    write_json(run.fit_file, record)
    return record


def read_record(run: RunFolder) -> dict[str, Any] | None:
    """fit.json, or None where the run has not begun.

    Raises FormatError when it is damaged or missing beside checkpoints.
    """
    if not run.fit_file.exists():
        if any(run.checkpoints.glob("step-*")):
            raise FormatError(
                run.fit_file, "file", "is missing, though there are checkpoints", fix=FRESH
            )
        return None
    record = read_json(run.fit_file)
    if not isinstance(record, dict) or not isinstance(record.get("identity"), dict):
        raise FormatError(run.fit_file, "identity", "is missing", fix=FRESH)
    for name, value in (
        ("precision", record.get("precision")),
        ("muon_precision", muon_precision(record)),
    ):
        if value not in ("float32", "bf16"):
            raise FormatError(run.fit_file, name, "is neither float32 nor bf16", fix=FRESH)
    return record


def muon_precision(record: dict[str, Any]) -> Any:
    """The precision in which the run's Muon orthogonalises; older records do not name it: it is
    bf16.
    """
    return record.get("muon_precision", "bf16")


def require_same(run: RunFolder, record: dict[str, Any] | None, identity: dict[str, Any]) -> None:
    """Refuse a folder of another run. Raises ConfigError with the differences."""
    found = differences(record["identity"], identity) if record else []
    if found:
        raise ConfigError(f"{run.path} holds another run: {'; '.join(found)}.", fix=FRESH)


def changed_machine(record: dict[str, Any], now: dict[str, Any]) -> str:
    """A sentence when the last bits may differ from here on, since the machine or the number of
    processes changed; else "".
    """
    before = record.get("machine")
    if not isinstance(before, dict):
        return ""
    before = {
        "processes": ONE_PROCESS,
        "bf16": now["bf16"],
        **before,
    }  # older records are of one, and do not say
    if before == now:
        return ""
    changes = (
        f"{name} was {before.get(name)}, is {now[name]}"
        for name in now
        if before.get(name) != now[name]
    )
    return f"Resuming, but not bitwise equal to an uninterrupted run ({', '.join(changes)})."
