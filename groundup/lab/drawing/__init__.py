"""Drawings of plain values: each function takes what a function of `lab` returned (or a run's
metrics), and returns a matplotlib figure, closed, so that a notebook shows it once.

Files are named after those that compute, or after what they draw: `attention` also one head step by
step, `by_head` the measures of every head and `ablation`, `predictions` also `attribution`,
`tracing` the values of `patching`, `loss` also `context` and the curves of suites, `embeddings`
also `neighbours`
"""
