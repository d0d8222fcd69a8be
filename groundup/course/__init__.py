"""A course in notebooks: theory and practice of each stage, with exercises that check themselves.

    notebooks/       NN-title.ipynb with their outputs, and the texts that they read
    notebook.py      the list of notebooks, a copy for a reader (`groundup learn`), `begin()`
    exercises.py     `check("3.2", answer)`: what the last cell of each exercise calls
    progress.py      what a reader has done, kept beside the copies (`groundup learn --progress`)
    solutions/       notebook_NN.py: a right answer and typical mistakes for each exercise, which
                     the tests try

Begin reading at exercises.py; how the notebooks are run and compared with their outputs is in
notebooks/run.py of the repository
"""
