"""Domain packs: the texts from which an assistant of an organisation is built, and the check that
holds them against their facts.

Comes in: a pack's folder (pack.toml, facts.toml, documents/, instructions, messages, questions,
summaries as JSON lines; docs/packs.md). Goes out: a `Pack`, and objections, each with file, line
and reason. The folders here are the packaged packs; `skeleton/` is what `groundup pack new` copies.
Begin reading at `pack.py`; `check.py` has the rules, `known.py` what is a fact.
"""
