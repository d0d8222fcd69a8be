"""The compiled decoding step: one token of one to four rows through a Llama-shaped model, in one function that numba compiles (extra `fast`).

In: a `LanguageModel` with weights in 8 or 4 bits (model/quantised.py) or in bf16, and a bf16 cache of keys and values. Out: logits. `step_weights.py` describes
the model in arrays (weights stay where torch has them), `readable_step.py` is the step in numpy and the test of `step.py`, which is the same compiled:
`kernels.py` has its parts, `products.py` the matrix-vector products in LLVM's own instructions. Begin with `readable_step.py`; `decode_step.py` is what
`generate_ids` and the `BatchEngine` call, and `probe.py` decides whether this machine uses it.

Activations are rounded to 16 bits for the product, so that products are sums of integers; everything else is float32.
"""
