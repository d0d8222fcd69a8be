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
        return "Precision float32: with a seed, or at temperature 0, an answer is the same alone and among others."
    return (
        f"Precision {wish}: an answer may differ by who else is answered at the time; --reproducible makes it the same."
    )
