"""Training: batches and a loss -> a better model, and a run folder with its records and
checkpoints, from which it can be resumed. `fit()` (`loop.py`) is the only training loop of the
project; `steps/` is what one step needs, `session.py` what is between steps, `pretrain.py` makes a
language model of shards and a shape.

What is bitwise: on one machine, with the same packages and number of threads, on the CPU, a run
that was stopped (Ctrl-C, SIGTERM, kill -9) and resumed, in float32 or bf16, compiled or not, gives
the weights and metrics, times apart, of a run that never stopped. Another processor, another number
of threads, or a GPU may change the last bits; a resumed run reports it. A time budget depends on a
clock, and so does the number of threads where the user did not fix it (OMP_NUM_THREADS=2). Both are
recorded, and `--again` makes the same changes at the same steps.
"""
