"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import groundup.model
from groundup.model.attention import Attention
from groundup.model.feedforward import SwiGLU
from groundup.model.norm import RMSNorm

FILES = [module.name for module in pkgutil.iter_modules(groundup.model.__path__)]
NAMES = {"torch": torch, "Attention": Attention, "SwiGLU": SwiGLU, "RMSNorm": RMSNorm}


@pytest.mark.parametrize("file", FILES)
def test_examples_in_docstrings_run(file: str) -> None:
    module = importlib.import_module(f"groundup.model.{file}")
    assert doctest.testmod(module, extraglobs=NAMES).failed == 0
