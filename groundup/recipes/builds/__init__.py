"""A build: the stages of a recipe in their order, with resume.

In: a recipe. Out: a build folder. Begin with build.py.
"""
