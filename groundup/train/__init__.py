"""Batches and a loss -> a better model, and a run folder that tells how it went and can be gone on with.

What comes in: a model, a `BatchSource` (position -> batch), a loss, a `FitConfig`, a run folder. What goes out: the model with
trained weights, metrics.jsonl, samples.jsonl, fit.json and checkpoints. `fit()` is the only training loop of the
project: pretraining, the classifier and the chat model all go through it.

Where to begin reading:

    loop          fit(): the life of a run, from resuming to the last step; result: what it came to; logs: what it writes down on the way
    step          one step: gradients of several batches summed, scaled, clipped
    config        FitConfig, and schedule: the learning rate as a function of the place in it
    course        step -> place in the schedule, also where the number of steps was changed; pace: when it is, to keep a time
    losses        next token, class of a text; balance: experts kept evenly used beside it
    optim         AdamW, Muon, SGD: which parameter is whose, what decays; muon: Muon written to be read
    skipped       steps that are no number or a spike: passed over by rule
    rollback      a loss that rose and stays: back to the weights of before, by rule
    precision     float32 or bf16, measured where the choice is left open; compiled: the same for torch.compile
    feed          batches one ahead, for a GPU
    state         checkpoints: what is kept, how it is written, which one is taken up again
    snapshots     the model alone after chosen steps, to look at how it learned
    memory        weights, optimizer and random states as the tensors of a checkpoint
    identity      what makes two calls the same run; standing: a new run, or one to go on with
    group         several processes of one run, and their messages; rows: what each reads of a batch
    spread        the work of a step alone or shared; distributed: copies (DDP) and shards (FSDP2) of a model
    sharded       checkpoints that all processes write together
    interrupts    Ctrl-C and SIGTERM
    pretrain      shards and a shape -> a language model
    looks         what is looked at on the way: heldout (figures, a source at a time), samples, copies (what they have from the training text)
    hooks         observers of a run; loggers: TensorBoard and Weights & Biases
    step_threads  by how many threads each step is computed: recorded, or tuned (groundup/threads.py)
    again         a run done once more from its folder
    corpus        texts, a data folder or shards -> shards and tokenizer
    wish          what a command line asked for -> prepare: texts, shape, config and plan of a run that can begin
    plan          what a run will cost; advice: whether the data are enough; actual: planned against what came
    planner       which model to train in a time; forecast: how good it will be; length, folder: small parts of it
    law           the scaling law and its fit; scaling: its numbers, and all else that was measured with today's defaults
    sweep         a law for the user's own texts; cluster: large models on published hardware

What is bitwise: on one machine, with the same packages and the same number of threads, on the CPU, a run that was stopped
(Ctrl-C, SIGTERM, kill -9) and resumed, in float32 or bf16, compiled or not, gives the weights and metrics, times apart, of a run
that never stopped. Another processor, another number of threads, or a GPU (whose sums have no fixed order) may change the last
bits; a resumed run says so when these differ from its first part. A run that was given a time follows a clock (`time_budget.py`), and
so does the number of threads where the user did not fix it (OMP_NUM_THREADS=2): a clock never goes twice alike. Both are
recorded, and `again` takes them as they were.
"""
