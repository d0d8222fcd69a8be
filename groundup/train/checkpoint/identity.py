"""The identity of a run: config, data and model, by which two calls of `fit()` are the same run.
Written to RUN/fit.json before the first step.

A call with another identity is refused with the differences. What no result depends on may change:
how many checkpoints and snapshots are kept, recomputed activations, and the number of processes,
which changes last bits only.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, NotRequired, TypedDict, cast

import torch
from torch import nn

from groundup.config import to_plain
from groundup.device import Compute
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json, sha256_text, write_json
from groundup.runs import RunFolder, package_version
from groundup.train.optimizers.built import trainable
from groundup.train.optimizers.muon import Muon
from groundup.train.steps.config import FitConfig, decisive_fields
from groundup.train.steps.precision import Chosen, MeasuredPrecision, MuonDecision
from groundup.train.steps.process_group import ProcessGroup
from groundup.weights.hf import tensors_sha256

ONE_PROCESS = "1"
FRESH = "Use the old settings to resume it, or `fresh` to start again."


class RunIdentity(TypedDict):
    config: dict[str, Any]
    """The fields that results depend on."""
    data: str
    trained: str
    """SHA-256 of the shapes of what is trained."""
    base: str
    """`frozen_fingerprint`."""


class Machine(TypedDict):
    """What the last bits of the arithmetic depend on."""

    device: str
    bf16: bool
    threads: int
    torch: str | None
    processes: str


class FitRecord(TypedDict):
    """fit.json."""

    identity: RunIdentity
    precision: Chosen
    compiled: bool
    step_s: dict[str, float]
    machine: Machine
    muon_precision: NotRequired[Chosen]
    product_s: NotRequired[dict[str, float]]


def identify(model: nn.Module, data_fingerprint: str, config: FitConfig) -> RunIdentity:
    fields = decisive_fields(to_plain(config))
    if config.stability.rollback_nats is not None:  # checkpoints are returned to
        fields["checkpoints"] = {"every": config.checkpoint_interval}
    shapes = {name: [str(p.dtype), *p.shape] for name, p in trainable(model).items()}
    return {
        "config": fields,
        "data": data_fingerprint,
        "trained": sha256_text(json.dumps(shapes, sort_keys=True)),
        "base": frozen_fingerprint(model),
    }


def identity_hash(identity: RunIdentity) -> str:
    """Kept in each checkpoint."""
    return sha256_text(json.dumps(identity, sort_keys=True))


def frozen_fingerprint(model: nn.Module) -> str:
    """SHA-256 of the frozen weights, which are in no checkpoint; "" where all train."""
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    return tensors_sha256(frozen) if frozen else ""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One phrase each."""
    before = old.get("config")
    found = changed_fields(before if isinstance(before, dict) else {}, new["config"])
    named = {
        "data": "the data are not the same",
        "trained": "the shape of what is trained is not the same",
        "base": "the frozen base model is not the same",
    }
    return found + [phrase for name, phrase in named.items() if old.get(name) != new[name]]


def changed_fields(before: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    """A phrase for each field of which the values differ."""
    found = []
    for name in sorted({**before, **now}):
        was, is_now = before.get(name, "unset"), now.get(name, "unset")
        if isinstance(was, Mapping) and isinstance(is_now, Mapping):
            found += changed_fields(was, is_now, f"{where}{name}.")
        elif was != is_now:
            found.append(f"{where}{name} was {was} and is {is_now}")
    return found


def machine(compute: Compute, config: FitConfig, group: ProcessGroup) -> Machine:
    processes = ONE_PROCESS
    if group.world > 1:
        processes = f"{group.world} by {config.parallel}"
    threads = torch.get_num_threads()
    if compute.thread_counts:
        threads = compute.thread_counts[0]  # the most
    return {
        "device": compute.device.type,
        "bf16": compute.has_bf16,
        "threads": threads,
        "torch": package_version("torch"),
        "processes": processes,
    }


def write_record(
    run: RunFolder,
    identity: RunIdentity,
    decision: MeasuredPrecision,
    muon: MuonDecision,
    machine: Machine,
) -> FitRecord:
    """Write fit.json and return it."""
    record: FitRecord = {
        "identity": identity,
        "precision": decision.precision,
        "compiled": decision.compiled,
        "step_s": decision.step_s,
        "machine": machine,
    }
    if muon.precision is not None:
        record["muon_precision"] = muon.precision
    if muon.times is not None:
        record["product_s"] = asdict(muon.times)
    write_json(run.fit_file, record)
    return record


def read_record(run: RunFolder) -> FitRecord | None:
    """None: the run has not begun. Raises FormatError when it is damaged or missing beside
    checkpoints.
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
    known = ("float32", "bf16")
    for name in ("precision", "muon_precision"):
        if record.get(name) not in known and (name in record or name == "precision"):
            raise FormatError(run.fit_file, name, "is neither float32 nor bf16", fix=FRESH)
    return cast(FitRecord, record)


def with_muon_precision(config: FitConfig, record: FitRecord) -> FitConfig:
    """The config, with the precision in which a recorded run's Muon orthogonalises."""
    if not isinstance(config.optimizer, Muon):
        return config
    return replace(config, optimizer=replace(config.optimizer, precision=record["muon_precision"]))


def require_same(run: RunFolder, record: FitRecord | None, identity: RunIdentity) -> None:
    """Refuse a folder of another run. Raises ConfigError."""
    found = differences(record["identity"], identity) if record else []
    if found:
        raise ConfigError(f"{run.path} holds another run: {'; '.join(found)}.", fix=FRESH)


def changed_machine(record: FitRecord, now: Machine) -> str:
    """A sentence when the last bits may differ from here on; else ""."""
    before = record.get("machine")
    if not isinstance(before, dict) or before == now:
        return ""
    changes = ", ".join(machine_changes(before, now))
    return f"Resuming, but not bitwise equal to an uninterrupted run ({changes})."


def machine_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = (name for name in now if before.get(name) != now[name])
    return [f"{name} was {before.get(name)}, is {now[name]}" for name in names]
