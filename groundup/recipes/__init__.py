"""Recipes as data, and the build that runs one stage by stage, from raw text to exported models.

Comes in: a recipe (TOML; `quickstart.toml` here, or a path) with a budget. Goes out: a build
folder, one folder a stage, `build.json` beside them. Begin reading at `build.py`; `recipe.py` has
the fields, `pipeline.py` the order of the stages, `stages/` one short file each, `starter/` the
hand-written instruction set.
"""
