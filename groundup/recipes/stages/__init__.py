"""The stages of a life, one short file each: `STAGE` says what it needs, `run` calls the rooms and says what came out.

A stage holds no algorithm. Begin reading at `data.py` and go on in the order of `recipes/pipeline.py`.
"""
