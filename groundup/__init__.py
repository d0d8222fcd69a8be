"""groundup: build your own language model from the ground up, and understand every stage.

Order of the rooms (imports point right, never left; `tests/test_architecture.py` checks it):

    cli > api > recipes > report, planning, finetune, integrations > serve, train > lab, retrieve, evaluate > engine > data, weights
        > tokenizer, runs > http, model > config, device, fetch, timing > progress, files, markup, threads, palette > errors
"""

__version__ = "0.1.0"
