"""Fine-tuning: `fit()` with other data and another loss. A language model becomes a classifier
(`classifier`, with the ways to train in `classifier_training`), or learns to answer
(`chat_training`, by `instruct` or `preference`).

In: an `OpenModel`, labelled texts, conversations or pairs of answers, a config (`config`).
Out: a run folder with the model or a LoRA adapter, and its figures on held-out data in
results.json (`ChatResults`, `ClassifierResults`).

A new method for chat models is a loss (train/steps/losses.py), a config and a `ChatMethod`. Begin
reading with chat_training, the shorter way from data to model.
"""
