"""Evaluation suites: items written for this project (a .jsonl file each), and real ones that are
fetched by name.

In:  the packaged files, or archives of packages.
Out: `Suite` objects (see `evaluate.suite`), listed by name in `registry.SUITES`.

    written    suites whose items are packaged: multiple choice, emotions, summaries, translation,
               grammar, copying, arithmetic, format
    real       data sets that are fetched by name: ARC, OpenBookQA, SciQ, PIQA, SocialIQA,
               CommonsenseQA and others
    scores     how written answers are measured: checks of a format, ROUGE, coverage of facts, BLEU
               and chrF
    registry   all by name; `--tasks` of the command line

Add a suite: a `Suite` object in a file of its own kind, and nothing else. Begin reading with
written.
"""
