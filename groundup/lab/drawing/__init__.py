"""Drawings of plain values: each function takes what a function of `lab` returned (or a run's
metrics), and returns a matplotlib figure.

The figure is closed, so that a notebook shows it once, as the value of its cell. Nothing here needs
a model. Files are named after those that compute, or after what they draw: `attention` also `qkv`,
`by_head` the measures of every head and `ablation`, `predictions` also `attribution`, `loss` also
`context`, `embeddings` also `neighbours`.
"""
