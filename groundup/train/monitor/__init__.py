"""What is measured and reported while a model trains: validation loss, samples, tasks, logs,
callbacks for other programs.

In: a model in training, held-out text, prompts. Out: lines of metrics.jsonl and samples.jsonl,
which every callback receives too. Begin reading with `config.py` (what is evaluated),
`callbacks.py` and `logs.py`.
"""
