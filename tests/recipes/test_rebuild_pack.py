"""`groundup verify --rebuild` of a pack's build: base model, index with vectors, actions, classifier and chat model."""

from pathlib import Path

import pytest
import torch
from tiny_encoder import save_encoder

from groundup.device import Compute
from groundup.files import write_manifest
from groundup.progress import Silent
from groundup.recipes.builds import rebuild as rebuilding
from groundup.recipes.builds.build import build as make_build
from groundup.recipes.builds.pipeline import stages_of
from groundup.recipes.builds.rebuild import rebuild
from groundup.recipes.stage import Stage

from .test_pack_build import recipe_of, root  # noqa: F401

FIXED = Compute(torch.device("cpu"), fixed_choices=True)
MADE = ("base", "index", "actions", "intents", "chat")


def made_stages(recipe: object) -> list[Stage]:
    """Without the export, which takes longer than all of these."""
    return [each for each in stages_of(recipe) if each.name in MADE]  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_packs_build_that_is_made_again_has_the_same_bytes(
    root: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuilding, "stages_of", made_stages)
    monkeypatch.setattr("groundup.retrieve.calibration.MIN_QUESTIONS", 3)
    recipe = recipe_of(root, f"index.vectors={save_encoder(tmp_path / 'encoder')}")
    made = tmp_path / "build"
    make_build(recipe, made, made_stages(recipe), compute=FIXED, progress=Silent())
    found = rebuild(made, FIXED, Silent())
    assert (found.stage, found.file) == ("", "") and found.stages == MADE
    assert found.files > 20
    weights = made / "intents" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    write_manifest(made / "intents", skip=("checkpoints", "snapshots"))
    found = rebuild(made, FIXED, Silent())
    assert (found.stage, found.file) == ("intents", "model.safetensors")
