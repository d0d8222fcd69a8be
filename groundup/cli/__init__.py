"""The command line: `main` and one file a verb. Comes in: words. Goes out: calls into the rooms,
then lines or JSON.

Begin reading at `main.py`; `options.py` has the options that verbs share, `console.py` what is
printed and how. Nothing here computes: a verb reads its options, makes the Compute, calls one
function of a room and prints its result.
"""
