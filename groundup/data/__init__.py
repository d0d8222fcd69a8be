"""Many texts become batches: reading, cleaning, splitting, token shards, windows; and labelled examples for fine-tuning.

In come files, folders and package archives; out go `train.jsonl`, `validation.jsonl` and a card that says what was kept, dropped and
why (`pipeline`), token files with a manifest (`shards`) and batches whose order is a pure function of the seed (`loader`).

    spec -> sources (decoding, records) -> Document -> clean, filters, dedup -> split -> data folder
    data folder + tokenizer -> shards -> loader.Windows -> Batch
    labelled file -> examples -> Example, InstructionExample

Nothing here grows with the input but the repeat check (16 bytes of digest a document). Begin reading in `pipeline.py`.
"""
