"""Batches and a loss -> a better model, and a run folder that tells how it went and can be gone on with.

What comes in: a model, a `BatchSource` (position -> batch), a loss, a `FitConfig`, a run folder. What goes out: the model with
trained weights, metrics.jsonl, samples.jsonl, fit.json and checkpoints. `fit()` is the only training loop of the
project: pretraining, the classifier and the chat model all go through it.

Where to begin reading:

    loop          fit(): the life of a run, from resuming to the last step
    step          one step: gradients of several batches summed, scaled, clipped
    config        FitConfig, and schedule: the learning rate as a function of the step
    losses        next token, class of a text; balance: experts kept evenly used beside it
    optim         AdamW, Muon, SGD: which parameter is whose, what decays; muon: Muon written to be read
    skipped       steps that are no number or a spike: passed over by rule
    precision     float32 or bf16, measured where the choice is left open
    state         checkpoints: what is kept, how it is written, which one is taken up again
    snapshots     the model alone after chosen steps, to look at how it learned
    memory        weights, optimizer and random states as the tensors of a checkpoint
    identity      what makes two calls the same run; standing: a new run, or one to go on with
    group         several processes of one run, and their messages; rows: what each reads of a batch
    spread        the work of a step alone or shared; distributed: copies (DDP) and shards (FSDP2) of a model
    sharded       checkpoints that all processes write together
    interrupts    Ctrl-C and SIGTERM
    pretrain      shards and a shape -> a language model; heldout: what it is judged by
    again         a run done once more from its folder
    corpus        texts, a data folder or shards -> shards and tokenizer
    plan          what a run will cost, and whether the data are enough

What is bitwise: on one machine, with the same packages and the same number of threads, on the CPU, a run that was stopped
(Ctrl-C, SIGTERM, kill -9) and resumed gives the weights and metrics, times apart, of a run that never stopped. Another
processor, another number of threads, or a GPU (whose sums have no fixed order) may change the last bits; a resumed run says
so when these differ from its first part.
"""
