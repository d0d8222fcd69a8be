"""Data: texts -> documents -> batches; and examples for fine-tuning.

In: files, folders, package archives, data sets of the hub, addresses on servers. Out: the splits as
.jsonl and a data card with what was kept and dropped, and why; token files; batches.

    reading       addresses -> documents, examples
    processing    documents -> documents, each kept, changed, or dropped with a reason
    runners       who does both: this process, several, Ray; with the same result
    preparation   both joined: a data folder and its card; for people: `groundup data inspect`
    batches       a data folder -> token files -> rows

Only the deduplication (a 16-byte digest for each document; near-duplicates: some 60 bytes) grows
with the input. Begin in `preparation/pipeline.py`.
"""
