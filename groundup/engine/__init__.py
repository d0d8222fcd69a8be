"""The engine: a model and a prompt -> tokens, text, scores, probabilities.

What comes in: an `OpenModel` from `weights.model_io` and texts, conversations or ids. What goes out: `ChatEvent`s (pieces of
text with a finish reason), `ScoredContinuation`s, or probabilities by label. Begin with `engine.py`, which puts the
parts together: `generate.py` (prefill and decode with the cache), `sampling.py` (which token comes next), `stream.py`
(ids -> text that is never cut inside a character), `score.py` (log-probabilities, of many pairs in one `ragged_batch.py`) and `classify.py`.

Many requests at once are `batch.py`'s: it carries out, on tensors, what `scheduler.py` (who runs next) and `pages.py` (whose keys and values are
where) decide without any. `request.py` says what can be asked for, `answer.py` turns ids into events, `prompt_lookup.py` guesses ahead, `generate_batch.py` has a
list of prompts answered. What an answer must be is a `structured_output.py`, and `grammar.py` sees to it.
"""
