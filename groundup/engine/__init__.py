"""The engine: a model and a prompt -> tokens, text, scores, class probabilities.

In: an `OpenModel` from `weights.model_io` and texts, conversations or ids. Out: `ChatEvent`s
(pieces of text with a finish reason), `ScoredContinuation`s, or probabilities by label. Begin with
`engine.py`, which combines `generate.py` (prefill and decode with the cache), `sampling.py` (the
rules) and `next_token.py` (the choice by them), `stream.py` (ids -> text, never split inside a
character, and events), `score.py` (log-probabilities of many pairs in ragged batches) and
`padded_batch.py` (class probabilities, embeddings).

`batch.py` answers many requests at once, in steps of schedule, run and process: `scheduler.py`
(which requests run next) and `pages.py` (where keys and values are stored) decide without tensors,
`model_runner.py` has the passes through the model, `output_processor.py` the next tokens.
`request.py` defines a request, `prompt_lookup.py` proposes draft tokens for speculative decoding.
`structured_output.py` describes a constraint on an answer, `grammar.py` enforces it.
"""
