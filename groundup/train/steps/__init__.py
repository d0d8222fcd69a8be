"""What one training step needs: its configuration, optimizers, losses, precision, batches,
processes.

In: a model, batches. Out: updated weights and the figures of a step. Begin with step.py.
"""
