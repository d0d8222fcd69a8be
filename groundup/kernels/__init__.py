"""The compiled decoding step: 1 to 32 tokens through a Llama-shaped model, in one function that
numba compiles (extra `fast`).

In: a `LanguageModel` with weights in float32, bf16 or float16, or in 8 or 4 bits
(model/quantised.py), or its arrays, and a cache of keys and values in the model's dtype, of 8 and 4
bits in bf16 or int8. Out: logits. Begin with `readable_step.py`, the step in numpy and the test of
`step.py`, which is the same compiled; `array_step.py` runs it on arrays without torch,
`decode_step.py` for `generate_ids` and the `BatchEngine` on tensors. `step_check.py` decides
whether this machine uses it, `probe.py` whether a torch model does.

Weights in float32 and 16 bits are multiplied in float32: float_products.py. With weights in 8 and 4
bits activations are rounded to 16 bits for the products, which are then sums of integers; everything
else is float32. With a row's scale s and the scale S_o of a row of weights, the output o is s S_o
times the sum over c of q_oc x_c, with integers |q| <= 127 and |x| <= 32767. In 4 bits each group of
32 columns has its own S and an offset.
"""
