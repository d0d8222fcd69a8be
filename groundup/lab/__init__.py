"""Pictures of a model's internals: how a tokenizer splits a text, what heads attend to, what each
layer represents, which tokens surprise the model.

Computing is separate from drawing. Each file here turns a model and a text into plain values
(JSON-able: stages of a build write them beside the model, and the report draws them without opening
it); files in `drawing` draw them with matplotlib. Blocks, heads and tokens are counted from 1;
`stream` refuses what a model does not have, `style` is the style of all pictures.

    views      the registry of all views: what computes each and what draws it
    text       tokens, predictions (logit lens, surprise)
    heads      attention (all maps, distances), head_patterns (and one head, step by step),
               ablation (without one)
    changes    hooks (read and change activations), patching (of one text by those of another, causal
               tracing), steering (a direction added)
    layers     embeddings (vectors of words at any layer, maps of them), neighbours (and categories
               of words), positions
    context    context (the loss by its length), attribution (which token or word decided)
    training   training_animation (attention and embeddings over the steps of a run)

Begin reading with `tokens`, then `attention`
"""
