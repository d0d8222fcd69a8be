"""Pictures of the inside: what a tokenizer makes of a text, where a model's heads look and why, what its layers know, what it is surprised by.

Computing stands apart from drawing. Each file here turns a model and a text into plain values (JSON-able: stages of a build write them
beside the model, and the report draws them without opening it); the file of the same name in `drawing` draws them with matplotlib.
Blocks, heads and tokens are counted from 1; `request` refuses what a model does not have, `style` is how all pictures look.

    text       tokens, surprise
    heads      attention (all maps), reach (how far), heads (which have a habit), qkv (one, step by step), ablation (without one)
    layers     lens, vectors (of words, at any layer), embeddings (maps of them), neighbours, kinds (days near days?), positions
    context    context (what it is worth), attribution (which token decided)
    training   film (attention and embeddings forming over the steps of a run), history (the model at each of them)

Begin reading with `tokens`, then `attention`.
"""
