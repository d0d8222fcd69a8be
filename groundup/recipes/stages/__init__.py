"""The stages of a build, one short file each: `STAGE` declares inputs, cost and outputs, `run`
calls the other rooms.

A stage has no algorithm of its own. Begin reading at `data.py` and follow the order of
`recipes/builds/pipeline.py`.
"""
