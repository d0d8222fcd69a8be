"""Right answers and typical mistakes: `notebook_NN.py` has EXERCISES, number -> Exercise, for the
notebook of that number.

In: nothing.  Out: what `exercises.check` compares an answer with. Not meant to be read before the
              exercise is done.
"""
