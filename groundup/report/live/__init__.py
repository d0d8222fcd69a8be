"""Runs while they are trained: their files followed as they grow, as plain values and as one page that looks at them again and again.

    tail (whole new lines of a file) -> curves, samples -> follow.FollowedRun -> watched.Watched -> JSON -> web/ (the page)
                                                             coach (what the figures mean, in words)

What comes in: folders. Files are opened to read and closed again; nothing is locked, so training neither needs nor notices it. What goes out:
values that JSON can say, bounded in size however long a run is. `cli/watch.py` puts them on a socket. Begin reading with `watched.py`.
"""
