"""Groundup inside other programs, by their own interfaces.

In:  a model of groundup, and what another program asks of it.
Out: that program's answers, by the same engine as everywhere.

    lm_eval         the script: lm-eval's command line with our model in it, and the export of our
                    suites
    lm_eval_model   an lm-eval model around `evaluate.items`
    lm_eval_tasks   our suites as lm-eval tasks: YAML and JSON lines
    langchain       the names of LangChain's classes of ours; each file langchain_* has one or two
                    of them

Begin reading with lm_eval, or with langchain and langchain_chat.
"""
