"""Processing: documents -> documents, each kept, changed, or dropped with a reason
(docs/processing.md).

    text -> clean -> filters, dedup                     every document
    text -> repair, repeated_lines, languages, quality_rules (text_measures), personal_data
        (phone_numbers)
            by `steps`, as asked for
    file of documents -> near_duplicates (minhash), decontamination (item_index); both by
        word_ngrams
            by `file_steps`

Begin in `steps.py`.
"""
