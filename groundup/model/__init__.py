"""ids -> logits: one Transformer whose parts are chosen by a config. No text, files or training in
this package.

In:   ids [B, T], integers below the vocabulary size, and for padded rows a mask [B, T] (True = real
      token)
Out:  logits [B, T, V] (heads.LanguageModel), class scores [B, N] (heads.Classifier) or a vector for
      each text [B, C] (heads.Encoder)

Begin with attention_steps (attention step by step), then attention, positions, norm, feedforward
and experts, block and transformer, heads. The dimension letters of all shapes in this project:

    B batch             T tokens (queries)      S tokens stored (keys)     V vocabulary
    C width             H query heads           K key/value heads          D head width
    F feed-forward width                        L layers                   R adapter rank
    N labels            E experts               A experts of a token
"""
