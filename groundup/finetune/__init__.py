"""Fine-tuning: `fit()` with other data and another loss. A language model becomes a classifier, or
learns to follow instructions.

In:  an `OpenModel`, labelled messages or instructions with answers, a run folder.
Out: the run folder as a Hugging Face folder, with its figures on held-out data in results.json.

    instruct           LoRA on all matrices of the blocks, or all weights, the loss on answers only
                       (`fit_chat`)
    adapters           what is trained, and what the folder holds: an adapter in PEFT's format, or a
                       whole model
    instruction_data   its instructions: rendered, masked, in batches, a part of them held out
    mask_xray          what of them is trained, read only or the template's, counted and shown
                       before the first step
    preference         DPO on pairs of a better and a worse answer (`fit_preference`)
    classifier         training of last block, final norm and score head (`fit_classifier`), and
                       simple baselines
    features           hidden states of every message after the frozen lower blocks, computed once
                       and kept on disk; the last block, trained on them
    lengths            how long the examples are, and what is cut
    order              which examples share a batch, a function of (seed, epoch)

None has a training loop of its own; how a run begins and is finished is in train/run_lifecycle.py.
A new method is a loss (train/steps/losses.py) and a file here. Begin reading with instruct, the
shorter way from data to model.
"""
