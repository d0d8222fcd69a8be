"""groundup: build your own language model from the ground up, and understand every stage.

The order of the house, in one line (imports point right, never left; `tests/test_architecture.py` checks it):

    cli > recipes > report, finetune > serve, train > lab, retrieve, evaluate > engine > data, weights
        > tokenizer, runs > model > config, device, fetch, timing > progress, files, markup, threads > errors
"""

__version__ = "0.1.0"
