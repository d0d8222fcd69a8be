"""The same `fit()`, other data and another loss: a language model becomes a classifier, or learns to follow instructions.

In:  an `OpenModel`, labelled messages or instructions with answers, a run folder.
Out: the run folder as a Hugging Face folder, with what it scored on held-out data in results.json.

    features     what the frozen lower blocks make of every message, computed once and kept on disk
    classifier   the last block, the final norm and a score head, trained on the features (`fit_classifier`)
    instruct     LoRA on all matrices of the blocks, the loss on answers only, merged at the end (`fit_chat`)

Neither has a training loop of its own. Begin reading with instruct, the shorter way from data to model.
"""
