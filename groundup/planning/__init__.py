"""What a training run will cost and which model fits a budget: from a command line to a run that can begin.

In: `PretrainOptions` (what the command line asked for) and texts. Out: `Prepared`: token shards, a model shape, a `FitConfig` with its number of
steps, and the `Plan` that states parameters, time, memory, disk and the expected loss. Begin reading with `prepare.py`.

    pretrain_options, length    what was asked for: shape, budget, fields of `--set`
    corpus, folder              texts, a data folder or shards -> shards and tokenizer; which folders may be written
    plan, advice                cost of a run; whether the data are enough for it
    planner, forecast           which model to train in a given time; the loss to expect
    law, scaling                the scaling law and its fit; its fitted numbers for the default training config
    sweep, sweep_drawing        a scaling law fitted to the user's own texts
    cluster                     large models on published hardware
    reproduce                   a finished run done once more from its folder, weights compared byte for byte
"""
