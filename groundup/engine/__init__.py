"""The engine: a model and a prompt -> tokens, text, scores, class probabilities.

In: an `OpenModel` from `weights.model_io` and texts, conversations or ids. Out: `ChatEvent`s (pieces of text with a finish reason),
`ScoredContinuation`s, or probabilities by label. Begin with `engine.py`, which combines `generate.py` (prefill and decode with the cache),
`sampling.py` (the rules) and `next_token.py` (the choice by them), `stream.py` (ids -> text, never split inside a character), `score.py`
(log-probabilities of many pairs in one `ragged_batch.py`) and `classify.py`.

`batch.py` answers many requests at once: it executes on tensors what `scheduler.py` (which requests run next) and `pages.py` (where keys and values
are stored) decide without tensors. `request.py` defines a request, `answer.py` turns ids into events, `prompt_lookup.py` proposes draft tokens for
speculative decoding, `generate_batch.py` answers a list of prompts. `structured_output.py` describes a constraint on an answer, `grammar.py`
enforces it.
"""
