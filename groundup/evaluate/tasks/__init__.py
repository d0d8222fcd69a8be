"""One file a kind of task. In: held-out items. Out: `Outcome`s. Add a benchmark: one file here. Begin with text, the shortest."""
