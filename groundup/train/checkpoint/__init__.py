"""Checkpoints of a training run: what is saved, how it is written atomically, what identifies a
run, and where a run resumes.

In: model, optimizer, `TrainState`. Out: `checkpoints/step-N/` with safetensors, JSON and a
manifest. Begin reading with `state.py`.
"""
