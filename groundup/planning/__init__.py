"""Planning of training runs: what a run will cost, which model fits a budget, and everything it is
trained from.

In: `PretrainOptions` (what the command line asks for) and texts. Out: `PreparedRun`: token shards,
a model shape, a `FitConfig` with its number of steps, and the `Plan` that states parameters, time,
memory, disk and the expected loss. Begin reading with `prepare.py`.

    pretrain_options    what is asked for: length, shape, fields of `--set`
    corpus              texts, a data folder or shards -> shards and tokenizer; which folders may be
                        written to
    measure             times of a step and an evaluation on this machine; how many of them a time
                        has room for
    planner             which model to train in a given time
    plan                the cost of a run and the loss to expect; its lines and warnings for people
    scaling_law         the scaling law and its fit; its parameters and rules for the default
                        training config
    sweep               a scaling law fitted to the user's own texts, and its picture
    cluster             large models on published hardware
    reproduce           a finished run trained again from its folder, weights compared byte for byte
"""
