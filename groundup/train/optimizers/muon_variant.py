"""What is otherwise than in Jordan et al.'s Muon: the polynomials by which matrices are made
orthogonal, rows of equal length before (MuonEq) or after it (NorMuon), cautious decay. No torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Coefficients = tuple[float, float, float]


@dataclass(frozen=True)
class Polynomials:
    """Of each iteration a x + b x^3 + c x^5."""

    rounds: tuple[Coefficients, ...]
    headroom: float = 1.0
    """A matrix is divided by its norm times this, so that rounding leaves no singular value above
    1.
    """


POLYNOMIALS: Mapping[str, Polynomials] = {
    # Chosen by Jordan et al. for a steep rise at 0, so that small singular values grow fast; it
    # oscillates about 1.
    "jordan": Polynomials(((3.4445, -4.7750, 2.0315),) * 5),
    # Amsel et al. 2025, "The Polar Express", of degree 5 from 0.001 on: each is the best for the
    # interval in which the one before leaves the singular values. All but the last are stretched by
    # 1.02, since bf16 rounds some out of the interval, beyond which they grow fast: unstretched,
    # the result is off by a fifth.
    "polar-express": Polynomials(
        (
            (8.1247, -22.2349, 15.6695),
            (4.0265, -2.7778, 0.4935),
            (3.8713, -2.7411, 0.4998),
            (3.2534, -2.3450, 0.4620),
            (2.3007, -1.6689, 0.4188),
        ),
        headroom=1.02,
    ),
}


@dataclass(frozen=True)
class MuonVariant:
    """What is otherwise than in Jordan et al.'s Muon."""

    polynomial: str = "jordan"
    """A name in `POLYNOMIALS`."""
    row_beta: float | None = None
    """Decay of the running square of each row of a direction (Li et al. 2025, "NorMuon"); None:
    rows stay as long as they are.
    """
    cautious_decay: bool = False
    """Decay only the weights that the step makes smaller (Chen et al. 2025, "Cautious Weight
    Decay").
    """
    equal_rows: bool = False
    """Make the rows of what is orthogonalised equally long (Chang et al. 2026, "MuonEq", its
    variant R).
    """


MUON = MuonVariant()
