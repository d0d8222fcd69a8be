"""Checkpoints of a training run: what is saved, what identifies a run, where it resumes. Begin with
`state.py`.
"""
