"""A small model cut out of a large trained one: what is most important on the user's texts stays,
and the embeddings of an own vocabulary are made of the large model's.

In: a Llama-shaped language model with its tokenizer, texts, an own tokenizer, a smaller shape. Out:
a language model of that shape, from which `pretrain` goes on. Begin with `cut.py`;
`importance.py` has the one forward pass, `vocabulary.py` the tokens, `cut_start.py` the folder that
a run starts from.
"""
