"""Which parts of a model made a prediction, measured and then tried by intervention.

A model and a text come in; plain values (`lab/circuit_values.py`) and tables for a page go out.

    contributions    the logit as a sum over embedding, heads, feed-forward networks and neurons,
                     and beside each the effect of removing it
    run_texts        rows of the texts that the model was trained on
    top_texts        where in those texts a neuron (or a feature) is most active

    transcoder       a block's feed-forward network by sparse features (trained in
                     `finetune/transcoder.py`); features: on texts; page, tables: as HTML

    gates           a model whose parts can be closed at each token; graph: the parts that
                     made a prediction; edges: between them; explain: of a run's texts

Begin reading with `contributions`
"""
