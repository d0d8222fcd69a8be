"""Folders that carry groundup to machines without a network, or a model to people without Python.

    wheels.py     groundup and what it needs as wheels, chosen by pip once, fetched in batches
    course.py     the notebooks with them: `groundup fetch --for course`
    recipe.py     what a build fetches, into the cache or a folder: `groundup fetch --for RECIPE`
    install.py    the script of such a folder, which installs it elsewhere; nothing of groundup
    app.py        a finished model as a page or a program: `groundup app RUN`
    assistant.py  what an app of a build with documents, or of an index, has besides
    interpreter.py, start.py   Python in such a program, and what starts it

Comes in: a purpose, or a model. Goes out: a folder with a manifest. Begin reading at wheels.py.
"""
