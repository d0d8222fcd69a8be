"""Which parts of a model made a prediction, measured and then tried by intervention.

A model and a text come in; plain values (`values.py`) and tables for a page go out.

    contributions    the logit as a sum over embedding, heads, feed-forward networks and neurons,
                     and beside each the effect of removing it
    run_texts        rows of the texts that the model was trained on
    top_texts        where in those texts a neuron (or a feature) is most active

    transcoder       a block's feed-forward network by sparse features (trained in
                     `finetune/transcoder.py`); features: on texts; page, tables: as HTML

Begin reading with `contributions`
"""
