"""Models side by side on the same items: figures, paired differences, curves over training.

In: open models, tasks. Out: results as JSON values. Begin with run.py.
"""
