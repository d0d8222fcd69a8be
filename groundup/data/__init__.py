"""Data: texts -> batches, by reading, cleaning, splitting, tokenizing to shards and windowing; and examples for fine-tuning.

In: files, folders and package archives. Out: `train.jsonl`, `validation.jsonl` and a data card with what was kept and dropped, and why
(`pipeline`), token files with a manifest (`shards`), and batches whose order is a pure function of the seed (`loader`).

    spec -> sources (decoding, records) -> Document -> clean, filters, dedup -> split -> data folder
    data folder + tokenizer -> shards -> loader.Windows -> Batch
    file -> sniff (layouts, roles) -> Description: which layout, which column is what -> sources, examples
    spec -> examples (example_rows) -> Example, InstructionExample, ConversationExample, PreferenceExample

Only the deduplication (a 16-byte digest for each document) grows with the input. Data folders and
shards are written over several calls, where one is killed (`partial`). Begin reading in `pipeline.py`.
"""
