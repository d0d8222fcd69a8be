"""Plain text of texts with markup: reStructuredText, AsciiDoc, LaTeX, Org.

In: the text of a .rst, .adoc, .asciidoc, .tex or .org file. Out: its words, with headings and code
marked as in Markdown where that is asked for. Begin reading at `formats.py`.
"""
