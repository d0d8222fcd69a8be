"""Reading: addresses -> files -> documents and examples.

    address -> source_files (folders, download, remote), source_list: several -> files, those within
        archives too (containers)
    file -> sniff (layouts, roles) -> Description: which layout, which column is what
    file -> sources (decoding, records, extract) -> Document, counted in a SourceReport
    file -> examples (example_rows) -> Example, InstructionExample, ConversationExample,
        PreferenceExample
    examples -> distinct: repeats removed, sides of a split -> trained_on: their hashes beside the
        model, for evaluate

Begin in `sources.py`.
"""
