"""Runs in training: their files are followed as they grow, as plain values and as a page that polls
them.

    follow.Tail (new complete lines of a file) -> downsampling.Curves, training_advice (remarks on
        the figures)
        -> follow.FollowedRun -> watched.Watched -> JSON -> web/ (the page)

In: folders. Files are opened for reading and closed again; nothing is locked, so training is not
affected. Out: JSON values of bounded size, however long a run is. `cli/watch.py` serves them. Begin
reading with `watched.py`.
"""
