"""Whole lives of a model: recipes as data, and the build that carries them out stage by stage.

Comes in: a recipe (TOML; `quickstart.toml` here, or a path) with a budget. Goes out: a build folder, one folder a stage,
`build.json` beside them. Begin reading at `build.py`; `recipe.py` has the fields, `stages/` one short file a stage,
`starter/` the hand-written instruction set.
"""
