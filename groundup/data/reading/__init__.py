"""Reading: addresses -> files -> documents and examples.

    address -> source_files (folders, download, remote) -> files, those within archives too
        (containers)
    file -> sniff (layouts) -> Description: which layout, which column is what
    file -> sources (decoding, records, extract) -> Document, counted in a SourceReport
    file -> examples (example_rows) -> Example, InstructionExample, ConversationExample,
        PreferenceExample
    examples -> example_splits: repeats removed, sides of a split

Begin in `sources.py`.
"""
