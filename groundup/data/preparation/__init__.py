"""Texts to a data folder: what is read, cleaned, split, counted in the data card; the inspection
before.

In: sources. Out: a folder of documents with its card. Begin with pipeline.py.
"""
