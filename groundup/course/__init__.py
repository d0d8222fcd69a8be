"""A course in notebooks: theory and practice of each stage, with exercises that check themselves.

In:  the number of a notebook or of an exercise.   Out: a notebook in the reader's folder; "right",
                                                   or a hint that names the mistake.

    notebooks/       NN-title.ipynb with their outputs, and the texts that they read
    notebook.py      `begin()`: what the first cell of each notebook calls
    exercises.py     `check("3.2", answer)`: what the last cell of each exercise calls
    solutions/       notebook_NN.py: a right answer and typical mistakes for each exercise, which
                     the tests try
    catalog.py       the list of notebooks, and a copy for a reader: `groundup learn`

Begin reading at exercises.py; how the notebooks are run and compared with their outputs is in
notebooks/run.py of the repository.
"""
