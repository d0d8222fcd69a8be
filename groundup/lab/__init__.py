"""Pictures of the inside: what a tokenizer makes of a text, where a model's heads look, how its tokens lie to one another.

Computing stands apart from drawing. `tokens`, `attention` and `embeddings` turn a model and a text into plain values (JSON-able:
stages of a build write them beside the model, and the report draws them without opening it); the files of
`drawing` draw the same values with matplotlib, for notebooks. Begin reading with `tokens`, then `attention`.
"""
