"""Processing: documents -> documents, each kept, changed, or dropped with a reason
(docs/processing.md).

    text -> clean -> filters                            every document
    text -> repair, languages, quality_rules (text_measures), personal_data
            by `steps`, as asked for
    file of documents -> near_duplicates, decontamination; both by word_ngrams
            by `file_steps`

Begin in `steps.py`.
"""
