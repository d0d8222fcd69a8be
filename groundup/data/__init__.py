"""Data: texts -> documents -> batches; and examples for fine-tuning.

In: files, folders, package archives, data sets of the hub, addresses on servers. Out:
`train.jsonl`, `validation.jsonl`, `test.jsonl` and a data card with what was kept and dropped, and
why (`pipeline`, `data_card`; with examples: `samples`), token files, and
batches.

    reading       addresses -> documents, examples
    processing    documents -> documents, each kept, changed, or dropped with a reason
    runners       who does both: this process, several, Ray; with the same result
    batches       a data folder -> token files -> rows

`pipeline` joins reading and processing and writes the data folder, over several calls where one is
killed (`partial`); `inspection` does the same for people (`groundup data inspect`). Only the
deduplication (a 16-byte digest for each document; near-duplicates: some 60 bytes) grows with the
input. Begin in `pipeline.py`.
"""
