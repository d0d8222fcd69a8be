"""The engine: a model and a prompt -> tokens, text, scores, probabilities.

In: an `OpenModel` from `weights.model_io` and texts, conversations or ids. Out: `ChatEvent`s (pieces of text with a finish reason),
`ScoredContinuation`s, or probabilities by label. Begin with `engine.py`, which puts the parts together: `generate.py` (prefill and decode with
the cache), `sampling.py` (which token comes next), `stream.py` (ids -> text, never cut inside a character), `score.py` (log-probabilities, of many
pairs in one `ragged_batch.py`) and `classify.py`.

Many requests at once are the work of `batch.py`: it carries out, on tensors, what `scheduler.py` (who runs next) and `pages.py` (whose keys and
values are where) decide without any. `request.py` says what can be asked for, `answer.py` turns ids into events, `prompt_lookup.py` proposes tokens
for speculative decoding, `generate_batch.py` answers a list of prompts. `structured_output.py` states a constraint on an answer, `grammar.py`
enforces it.
"""
