"""The same `fit()`, other data and another loss: a language model becomes a classifier, or learns to follow instructions.

In:  an `OpenModel`, labelled messages or instructions with answers, a run folder.
Out: the run folder as a Hugging Face folder, with what it scored on held-out data in results.json.

    instruct     LoRA on all matrices of the blocks, the loss on answers only, merged at the end (`fit_chat`)
    lesson       its instructions: rendered, masked, in batches, a part of them held out
    classifier   last block, final norm and score head learn (`fit_classifier`)
    features     what the frozen lower blocks make of every message, computed once and kept on disk
    lastblock    the part that learns, fed with features
    baselines    what a classifier has to beat
    order        which examples share a batch, a function of (seed, epoch)
    finished     is this run finished, another one, or still to do?

Neither has a training loop of its own. Begin reading with instruct, the shorter way from data to model.
"""
