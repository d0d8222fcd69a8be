"""Fine-tuning: `fit()` with other data and another loss. A language model becomes a classifier, or
learns to answer.

In:  an `OpenModel`, labelled texts, conversations or pairs of answers, a config (`config`).
Out: a run folder with the model or a LoRA adapter, and its figures on held-out data in
     results.json (`ChatResults`, `ClassifierResults`).

    chat_training      the run of a chat model: `instruct` trains on answers, `preference` on pairs
                       of them (DPO), with their data in instruction_data and preference_data
    adapters           what is trained, and what the folder holds
    classifier         the run of a classifier: classifier_training has the ways to train
                       (trainable_parts, stacked), features the cached states of frozen blocks
    classifier_results, classifier_baselines      what it is worth, and what others are
    order              which examples share a batch, a function of (seed, epoch)

A new method for chat models is a loss (train/steps/losses.py), a config and a `ChatMethod`. Begin
reading with chat_training, the shorter way from data to model.
"""
