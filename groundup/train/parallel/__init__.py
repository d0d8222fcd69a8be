"""One run on several processes: the process group, the rows of each rank, and the strategies
SingleProcess, DDP and FSDP.

In: a model, a loss, the process group that torchrun started. Out: gradients summed over all ranks.
Begin reading with `strategies.py`.
"""
