"""x W^T + b, the product of all matrices of a model; for one row in float32, as when decoding a
token, by the library that reads the matrix fastest.

torch gives float32 products of one row to Intel's MKL, whose path for processors of AMD
(`mkl_blas_def_xsgemv`) has SSE instructions only. oneDNN's inner product, which torch includes too,
takes 0.73 to 0.87 of its time where the matrix comes from memory (docs/log.md). Which one is used
depends on processor and size alone, never on a measurement: the same command gives the same bits
again.
"""

from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# Below 1 MiB the 14 microseconds that oneDNN needs to begin cost more than it saves.
LEAST_WEIGHTS = 2**18


class FastLinear(nn.Linear):
    """As `nn.Linear`, by `linear`."""

    def forward(self, input: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        return linear(input, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*N I"], weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None = None
) -> Float[Tensor, "*N O"]:
    """As `F.linear`, which is its test."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or not one_row_is_slow():
        return F.linear(x, weight, bias)
    is_one_row = x.numel() == x.shape[-1] and weight.numel() >= LEAST_WEIGHTS
    is_float32 = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if not (is_one_row and is_float32 and x.is_cpu):
        return F.linear(x, weight, bias)
    # the matrix as it lies in memory: nothing is packed or copied
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@cache
def one_row_is_slow() -> bool:
    """Whether torch's own product of one row takes MKL's slow path here: MKL on a processor of AMD.
    False where torch does not name the processor or has no inner product of oneDNN.
    """
    if not torch.backends.mkl.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return str(capabilities.get("cpu_name")).startswith("AMD")
