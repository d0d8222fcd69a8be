"""A model and a task -> numbers with error bars.

In:  `OpenModel`s by name and `Task`s (held-out texts, answers that code can check, labelled
     messages).
Out: one table of plain values (`comparison.run.evaluate`): task, model, metric, value, 95 %
     interval, number of items, chance level, seconds; and for each task details for a page
     (confusion matrix, answers).

    metrics    pure functions: intervals, accuracy, F1, confusion matrix, bits per byte
    task       the interface Task, and Measure and TaskResult
    tasks/     text (bits per byte), answers (loss on answers, checked answers), classification (a
               classifier, zero-shot, baselines)
    comparison/run         every model on every task; KINDS: the kinds of held-out data, each with
                           the tasks built from it
    suite      items, template, metrics, chance: a task; suites/ has them by name
    comparison/            models on suites by name; emergence: over steps, sizes, shots;
                           memorisation: items in the training text
    parity     our model against a real llama.cpp
    tokenizer_import       tokenizers of elsewhere, checked against the library that they are made
                           for
    tokenizer_comparison   tokenizers on the same texts: bytes per token, speed, parameters

All models are measured by the same function on the same items. Begin reading with task.
"""
