"""Batches: documents -> tokens -> rows, in an order that is a pure function of the seed
(docs/processing.md).

    data folder + tokenizer -> shards (spans: which token is of which source)
    shards -> loader.Windows, or packing.PackedWindows: whole documents in rows -> Batch
    several of them -> mixture.Mixture
    shards -> window_view: how a text becomes rows, for people

Begin in `loader.py`.
"""
