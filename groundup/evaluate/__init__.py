"""Models and tasks -> figures with 95 % intervals (`results.EvaluationResults`).

    task, tasks/           the interface of a task; bits per byte, answers, labels
    suite, suites/         named items with template, metrics and chance, as tasks
    comparison/            every model on every task or suite; over steps, sizes, shots; forgetting
    metrics, paired        intervals, and paired differences
    parity                 our model against a real llama.cpp
    tokenizers             imported and compared

All models are measured by the same function on the same items. Begin reading with task.
"""
