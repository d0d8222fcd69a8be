"""The optimizers of a run: their settings (without torch), which parameters each updates, and how
much state it keeps. Matrices decay, vectors and tables do not.

A further optimizer is a subclass of `Optimizer` in a file of its own and its line in `known.py`:
its fields are those of `--set fit.optimizer.`, and `model.footprint` counts its `state_size`.
"""
