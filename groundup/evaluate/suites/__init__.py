"""Evaluation suites: items written for this project (a .jsonl file each), and real ones that are
fetched by name; all are listed in `registry.SUITES`. `scores` measures written answers.

Add a suite: its items, and a `Suite` in `registry.WRITTEN` or `REAL`.
"""
