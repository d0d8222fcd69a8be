"""Actions: what an assistant may do for its user, as a pack's `actions.toml` defines it.

Comes in: actions.toml (typed slots, lookups, rules, a confirmation, an effect) and world.sql (the
tables they work on). Goes out: an `ActionTurn` for each message, and rows of world.sqlite with an
audit line for each effect. Begin reading at `definition.py`; `dialogue.py` has the order of a
conversation, `world.py` what is read and written, `desk.py` what a server calls.
"""
