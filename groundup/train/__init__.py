"""Training: batches and a loss -> a better model, and a run folder with its records and
checkpoints, from which it can be resumed.

What comes in: a model, a `BatchSource` (position -> batch), a loss, a `FitConfig`, a run folder.
What goes out: the model with trained weights, metrics.jsonl, samples.jsonl, fit.json and
checkpoints. `fit()` is the only training loop of the project: pretraining, the classifier and the
chat model all go through it.

Where to begin reading:

    loop           fit(): a run from resuming to the last step, and its FitResult
    step           one step: gradients of several batches summed, scaled, clipped
    config         FitConfig, and the defaults of pretraining
    step_schedule  step -> place in the schedule -> learning rate, also where the number of steps
                   was changed; time_budget: when it is changed
    step_threads   how many threads compute each step: recorded, or tuned (groundup/threads.py)
    losses         next token, class; FINETUNE_LOSSES; with experts, any loss and their
                   load-balancing loss
    optimizers     AdamW, Muon, SGD: which parameters each updates, weight decay; a readable Muon
    bad_steps      non-finite or spiking steps are skipped by rule; after a lasting rise of the loss
                   the run is rolled back
    precision      float32 or bf16, measured where the choice is open; compiled: the same for
                   torch.compile
    batches        BatchSource; batches made one ahead for a GPU; the rows of each process
    checkpoint/    what is saved, how it is written, what makes two calls the same run, where a run
                   resumes
    parallel/      several processes: process group, DDP and FSDP
    monitor/       validation, samples and how much of them is copied, logs, callbacks, TensorBoard
                   and Weights & Biases
    interrupts     Ctrl-C and SIGTERM
    run_lifecycle  how the folder of a run is begun and finished, the same for pretraining and
                   fine-tuning
    pretrain       shards and a shape -> a language model

What is bitwise: on one machine, with the same packages and the same number of threads, on the CPU,
a run that was stopped (Ctrl-C, SIGTERM, kill -9) and resumed, in float32 or bf16, compiled or not,
gives the weights and metrics, times apart, of a run that never stopped. Another processor, another
number of threads, or a GPU (whose sums have no fixed order) may change the last bits; a resumed run
reports it when these differ from its first part. A run with a time budget depends on a clock
(`time_budget.py`), and so does the number of threads where the user did not fix it
(OMP_NUM_THREADS=2). Both are recorded, and `--again` makes the same changes at the same steps.
"""
