"""Which change of the pretraining recipe lowers the loss, in the same processor time, on one text:
`groundup research`.

    SWITCHES (switches.py): named changes, each some settings of `groundup pretrain --set`
        -> rounds of tries beside the baseline, the better half goes on (`rounds.py`, `tries.py`)
        -> the best of them together -> test, once -> RESEARCH/results.json, research.html

Begin with `research.py`.
"""
