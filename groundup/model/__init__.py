"""ids -> logits: one Transformer whose parts are chosen by a config. No text, files or training in
this package.

In:   ids [B, T], integers below the vocabulary size, and for padded rows a mask [B, T] (True = real
      token)
Out:  logits [B, T, V] (heads.LanguageModel), class scores [B, N] (heads.Classifier) or a vector for
      each text [B, C] (heads.Encoder)

Where to begin reading:

    attention_steps, attention   scores, scaling, mask, softmax, weighted sum step by step; then the
                                 fused version and its module
    positions                    rotary, ALiBi, learned, sinusoidal, none
    norm, feedforward, experts   the other parts of a block; mixture of experts with a router
    transformer                  a block: the parts around the residual stream; embedding, blocks,
                                 final norm
    heads                        language model, classifier, encoder; seeded initial weights
    config, presets, sizes       the config, those of known models, and what a config costs
    cache, paged, lora           the KV cache, its paged form, low-rank adapters

The dimension letters of all shapes in this project:

    B batch             T tokens (queries)      S tokens stored (keys)     V vocabulary
    C width             H query heads           K key/value heads          D head width
    F feed-forward width                        L layers                   R adapter rank         N
                                                labels
    E experts           A experts of a token
"""
