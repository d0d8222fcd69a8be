"""What makes two calls of `fit()` the same run: its config, its data, its model. Kept in RUN/fit.json from before the first step.

A call that differs is refused with what differs: going on with it would give a run that is neither the old nor the new one.
Only how often and how many checkpoints and snapshots are kept, and whether activations are, may change, since no result hangs on it, and how many
processes share the work, by which results differ in their last bits only.
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
from groundup.runs import RunFolder, package_version
from groundup.train.balance import has_experts
from groundup.train.config import FitConfig
from groundup.train.optimizers import trainable
from groundup.train.parallel.process_group import ProcessGroup
from groundup.train.precision import Decision, MuonDecision

# No result depends on these, but for last bits.
FREE_FIELDS = ("checkpoint_every", "keep_checkpoints", "snapshots", "recompute", "parallel")
# No result of a model without experts depends on these.
EXPERT_FIELDS = ("balance_weight",)
# No result of a run with another optimizer depends on these.
MUON_FIELDS = ("muon_learning_rate", "muon_momentum", "muon_precision")
# No result of a run with another schedule depends on it.
WSD_FIELDS = ("decay_steps",)
# No result of a run that is never rolled back depends on it; where it may be, its results depend on when checkpoints are written.
ROLLBACK_FIELDS = ("max_rollbacks",)
# No result of a run that reads whole rows from the first step depends on it.
START_FIELDS = ("start_share",)
# Newer than the first runs: left out where they have the value that was the only one, so that those runs are still the same.
LATER_FIELDS = ("optimizer", "schedule", "max_skipped", "compile", "start_context_tokens", "muon_precision")
DEFAULTS = to_plain(FitConfig(1))
ONE_PROCESS = "1"
FRESH = "Run it with the old settings to go on, or with --fresh to begin anew."


def identify(model: nn.Module, data_fingerprint: str, config: FitConfig) -> dict[str, Any]:
    """The identity of a run as plain values."""
    shapes = {name: [str(p.dtype), *p.shape] for name, p in trainable(model).items()}
    return {
        "config": _fields(config, experts=has_experts(model)),
        "data": data_fingerprint,
        "trained": sha256_text(json.dumps(shapes, sort_keys=True)),
        "base": frozen_fingerprint(model),
    }


def _fields(config: FitConfig, *, experts: bool) -> dict[str, Any]:
    """The fields of a config that results depend on."""
    free = FREE_FIELDS + (() if experts else EXPERT_FIELDS) + (() if config.optimizer == "muon" else MUON_FIELDS)
    free += () if config.schedule == "wsd" else WSD_FIELDS
    if config.rollback_nats is None:
        free += ROLLBACK_FIELDS
    else:
        free = tuple(name for name in free if name != "checkpoint_every")
    free += START_FIELDS if config.start_context_tokens is None else ()
    later = tuple(name for name in LATER_FIELDS if getattr(config, name) == DEFAULTS.get(name))
    return {name: value for name, value in to_plain(config).items() if name not in free + later}


def identity_hash(identity: dict[str, Any]) -> str:
    """One SHA-256 for an identity: what a checkpoint says it belongs to."""
    return sha256_text(json.dumps(identity, sort_keys=True))


def frozen_fingerprint(model: nn.Module) -> str:
    """SHA-256 of the weights that don't train: they are in no checkpoint, so resuming needs the same ones. "" where all train."""
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    if not frozen:
        return ""
    digest = hashlib.sha256()
    for name, parameter in sorted(frozen.items()):
        digest.update(f"{name} {parameter.dtype} {list(parameter.shape)}\n".encode())
        digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs between two identities, one phrase each."""
    before, now = old.get("config"), new["config"]
    before = before if isinstance(before, dict) else {}
    found = [
        f"{name} was {_value(before, name)} and is {_value(now, name)}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    named = {
        "data": "the data are not the same",
        "trained": "the shape of what is trained is not the same",
        "base": "the frozen base model is not the same",
    }
    return found + [phrase for name, phrase in named.items() if old.get(name) != new[name]]


def _value(fields: dict[str, Any], name: str) -> Any:
    """A field's value; where it is left out, what that stands for."""
    return fields.get(name, DEFAULTS.get(name, "unset") if name in LATER_FIELDS else "unset")


def machine(compute: Compute, processes: str = ONE_PROCESS) -> dict[str, Any]:
    """What the last bits of the arithmetic hang on."""
    return {
        "device": compute.device.type,
        "bf16": compute.has_bf16,
        "threads": compute.thread_counts[0] if compute.thread_counts else torch.get_num_threads(),  # the most
        "torch": package_version("torch"),
        "processes": processes,
    }


def processes(config: FitConfig, group: ProcessGroup) -> str:
    """How many share the work, and by which way."""
    return ONE_PROCESS if group.world == 1 else f"{group.world} by {config.parallel}"


def write_record(
    run: RunFolder, identity: dict[str, Any], decision: Decision, muon: MuonDecision, machine: dict[str, Any]
) -> dict[str, Any]:
    """Write fit.json and return it: identity, precisions and compiling with the figures that decided them, machine."""
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
    """fit.json, or None where the run has not begun. Raises FormatError when it is damaged or missing beside checkpoints."""
    if not run.fit_file.exists():
        if any(run.checkpoints.glob("step-*")):
            raise FormatError(run.fit_file, "file", "is missing, though there are checkpoints", fix=FRESH)
        return None
    record = read_json(run.fit_file)
    if not isinstance(record, dict) or not isinstance(record.get("identity"), dict):
        raise FormatError(run.fit_file, "identity", "is missing", fix=FRESH)
    if record.get("precision") not in ("float32", "bf16"):
        raise FormatError(run.fit_file, "precision", "is neither float32 nor bf16", fix=FRESH)
    if muon_precision(record) not in ("float32", "bf16"):
        raise FormatError(run.fit_file, "muon_precision", "is neither float32 nor bf16", fix=FRESH)
    return record


def muon_precision(record: dict[str, Any]) -> Any:
    """In which precision the run's Muon orthogonalises; in records that do not say, from before there was a choice, it is bf16."""
    return record.get("muon_precision", "bf16")


def require_same(run: RunFolder, record: dict[str, Any] | None, identity: dict[str, Any]) -> None:
    """Refuse to go on with another run's folder. Raises ConfigError with what differs."""
    found = differences(record["identity"], identity) if record else []
    if found:
        raise ConfigError(f"{run.path} holds a run that differs: {'; '.join(found)}.", fix=FRESH)


def changed_machine(record: dict[str, Any], now: dict[str, Any]) -> str:
    """A sentence when the last bits may differ from here on, because the machine does; else ""."""
    before = record.get("machine")
    if not isinstance(before, dict):
        return ""
    before = {"processes": ONE_PROCESS, "bf16": now["bf16"], **before}  # older records are of one, and do not say
    if before == now:
        return ""
    changes = (f"{name} was {before.get(name)}, is {now[name]}" for name in now if before.get(name) != now[name])
    return f"Going on, but not bit for bit as if never stopped ({', '.join(changes)})."
