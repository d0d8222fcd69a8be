"""Data: texts -> batches, by reading, cleaning, splitting, tokenizing to shards and windowing; and examples for fine-tuning.

In: files, folders, package archives, data sets of the hub, addresses on servers. Out: `train.jsonl`, `validation.jsonl`, `test.jsonl` and a data
card with what was kept and dropped, and why (`pipeline`; with examples: `samples`, `change_examples`), token files with a manifest (`shards`), and
batches whose order is a pure function of the seed (`loader`).

    address -> source_files (folders, download, remote) -> files
    spec -> sources (decoding, records) -> Document -> clean, filters, dedup -> split -> data folder
    document -> steps (repair, repeated_lines, languages, quality_rules by text_measures, personal_data) -> document, or why it is dropped
    file of documents -> file_steps: near_duplicates (minhash), decontamination (item_index) -> which to drop, and why; both by word_ngrams
    data folder + tokenizer -> shards -> loader.Windows or packing.PackedWindows, or mixture.Mixture of several -> Batch
    file -> sniff (layouts, roles) -> Description: which layout, which column is what -> sources, examples
    spec -> inspection -> the card that a build would write, for people (`groundup data inspect`)
    spec -> examples (example_rows) -> Example, InstructionExample, ConversationExample, PreferenceExample
    examples -> distinct: repeats removed, sides of a split -> trained_on: their hashes beside the model, for evaluate

Only the deduplication (a 16-byte digest for each document; near-duplicates: some 60 bytes) grows with the input. Begin reading in `pipeline.py`.
"""
