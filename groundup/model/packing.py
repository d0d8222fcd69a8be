"""Sizes of weights in 8 and 4 bits (`quantised.py` packs them), without torch."""

from typing import Literal

Bits = Literal["int8", "int4"]
# Numbers that share a scale in 4 bits: llama.cpp's Q4_0 has as many.
GROUP = 32
# Rows that are interleaved in 4 bits.
BLOCK = 8
# Widths and heights must be multiples of this for torch's kernels.
MULTIPLE: dict[Bits, int] = {"int8": 16, "int4": 64}
