"""The engine: a model and a prompt -> tokens, text, scores, class probabilities.

In: an `OpenModel` from `weights.model_io` and texts, conversations or ids. Out: `ChatEvent`s
(pieces of text with a finish reason), `ScoredContinuation`s, or probabilities by label. Begin with
`engine.py`, then `generate.py` (one answer) and `batch.py` (many requests at once: `scheduler.py`
and `pages.py` decide without tensors, `model_runner.py` has the passes through the model,
`output_processor.py` the next tokens). `step_engine.py` does both without torch.
"""
