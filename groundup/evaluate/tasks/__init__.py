"""The evaluation tasks, one file for each kind of held-out data. Out: `TaskResult`s.

Begin with text. `KINDS` of `run.py` lists them.
"""
