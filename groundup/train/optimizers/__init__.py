"""The optimizers of a run: their settings, which parameters each updates, and how much state it
keeps.

    optimizer      Optimizer, the settings of any
    adamw          AdamW (Loshchilov & Hutter 2019) for all parameters
    muon           Muon for the matrices of the blocks, AdamW for the rest; stacked_muon: its arithmetic
    sgd            stochastic gradient descent with momentum, as a baseline for the other two
    known          the optimizers by name
    built          several of torch's as one, over the parameters that train

A further optimizer is a subclass of `Optimizer` in a file of its own and its line in `known.py`:
its fields are those of `--set fit.optimizer.`, and `model.footprint` counts its `state_size`.
Settings come without torch. Matrices decay, vectors and tables do not.
"""
