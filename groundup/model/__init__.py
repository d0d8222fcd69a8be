"""ids -> logits: one Transformer whose parts are chosen by a config. Knows no text, no files, no training.

What comes in:  ids [B, T], integers below the vocabulary's size, and where rows are padded a mask [B, T] (True = real token)
What goes out:  logits [B, T, V] (heads.LanguageModel) or one row of scores per text [B, N] (heads.Classifier)

Where to begin reading, each file in one sitting:

    attention     the heart: scores, scaling, mask, softmax, weighted sum, in five lines; then the fast twin
    positions     how a token knows where it stands: rotary, learned, sinusoidal, none
    norm, feedforward    the two other parts of a block; experts: many feed-forward parts and a router
    block         how the parts are wired around the residual stream
    transformer   embedding, blocks, final norm
    heads         next token, or class of the text; seeded initial weights
    config, presets, sizes    a shape, the shapes of known models, and what a shape costs
    cache, lora   decoding without computing anything twice; fine-tuning with few parameters

The alphabet of every shape in this project:

    B batch             T tokens (queries)      S tokens stored (keys)     V vocabulary
    C width             H query heads           K key/value heads          D head width
    F feed-forward width                        L layers                   R adapter rank         N labels
    E experts           A experts of a token
"""
