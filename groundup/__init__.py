"""groundup: build your own language model from the ground up, and understand every stage.

The order of the house, in one line (imports point right, never left; `tests/test_architecture.py` checks it):

    cli > recipes > report, finetune > serve, train > lab, evaluate > engine > data, weights
        > tokenizer, runs > model > config, device, fetch > progress, files, markup > errors
"""

__version__ = "0.1.0"
