"""A model and a task -> numbers with error bars.

In:  `OpenModel`s by name and `Task`s (held-out texts, answers that code can check, labelled messages).
Out: one table of plain values (`run.evaluate`): task, model, metric, value, 95 % interval, number of items, chance line, seconds;
     and per task the details that a page shows (confusion matrix, answers).

    metrics    pure functions: intervals, accuracy, F1, confusion matrix, bits per byte
    task       Measure, Outcome, and what a Task is
    tasks/     text (bits per byte), answers (loss on answers, checked answers), classification (a classifier, zero-shot, baselines)
    run        every model on every task
    parity     our model against real llama.cpp

Before and after are always measured by the same function on the same items. Begin reading with task.
"""
