"""The engine: a model and a prompt -> tokens, text, scores, probabilities.

What comes in: an `OpenModel` from `weights.door` and texts, conversations or ids. What goes out: `ChatEvent`s (pieces of
text with a finish reason), `ScoredContinuation`s, or probabilities by label. Begin with `engine.py`, which puts the
parts together: `generate.py` (prefill and decode with the cache), `sampling.py` (which token comes next), `stream.py`
(ids -> text that is never cut inside a character), `score.py` (log-probabilities) and `classify.py`.
"""
