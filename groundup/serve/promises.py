"""What a server promises of its answers, in one sentence: for its log and for /api/show."""

from groundup.engine.precision import PrecisionChoice


def determinism_note(wish: PrecisionChoice, *, reproducible: bool) -> str:
    """Whether an answer depends on who else is answered.

    >>> promise("int8", reproducible=False)
    'Precision int8: an answer may differ by who else is answered at the time; --reproducible makes it the same.'
    """
    if reproducible:
        return f"Precision {wish}, reproducible: with a seed, or at temperature 0, an answer is the same alone and among others."
    if wish == "float32":
        # 51,200 draws from the logits of 512 places of SmolLM2, computed alone and among 32: none differed (docs/serving.md).
        return (
            "Precision float32: with a seed, or at temperature 0, an answer is the same alone and among others, but where two tokens are as "
            "near as float32 rounds (in 51,200 measured draws: none); --reproducible excludes that, too."
        )
    return (
        f"Precision {wish}: an answer may differ by who else is answered at the time; --reproducible makes it the same."
    )
