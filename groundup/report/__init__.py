"""A build folder or a single run folder, read and shown: one self-contained HTML page.

    story.read_story(folder)  ->  Story (what the files say; missing ones are empty)  ->  sections/*  ->  page.render_page(story)

What comes in: JSON and JSON-lines files that stages wrote before. No model is opened here and torch is never imported; what
needs a model (attention on a sentence, answers before and after) was computed by `lab` and `evaluate` and lies in the folder.
What goes out: one file without a script, a font or an address of elsewhere, that opens from disk.
`live/` follows runs that are still written, for the page of `groundup watch`.
Begin reading with `page.py`, then one file of `sections/`.
"""
