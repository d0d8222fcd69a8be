"""Pictures of plain values: each function takes what a function of `lab` (or a run's metrics) gave, and returns a matplotlib figure.

The figure is closed, so that a notebook shows it once, as the value of its cell. Nothing here sees a model. Files are named
after those that compute (`similarity` draws what `vectors` has, `neighbours` also `kinds`); `style` (one floor up) is how all of them look.
"""
