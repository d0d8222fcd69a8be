"""The suite checks the shapes in signatures: a function's first calls in a test, and of a long run's later ones so many that a wrong one is found."""

import jaxtyping
import pytest
import torch

from groundup.model.fused import rotate_half
from groundup.model.norm import rms_norm

RIGHT, WRONG = torch.ones(4), torch.ones(1)  # which torch would stretch
pytestmark = pytest.mark.skipif(
    jaxtyping.config.jaxtyping_disable, reason="JAXTYPING_DISABLE is set"
)


def test_a_wrong_shape_is_an_error() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="weight"):
        rms_norm(torch.ones(2, 4), WRONG, 1e-5)


def test_after_thousands_of_calls_a_wrong_shape_is_found() -> None:
    for _ in range(3000):
        rms_norm(torch.ones(2, 4), RIGHT, 1e-5)
    with pytest.raises(jaxtyping.TypeCheckError, match="weight"):
        for _ in range(300):
            rms_norm(torch.ones(2, 4), WRONG, 1e-5)


def test_a_function_that_is_first_called_late_is_checked_at_once() -> None:
    for _ in range(3000):
        rms_norm(torch.ones(2, 4), RIGHT, 1e-5)
    with pytest.raises(jaxtyping.TypeCheckError, match="cosine"):
        rotate_half(torch.ones(1, 2, 3, 4), RIGHT, RIGHT)
