"""Groundup inside other programs, by their own interfaces: LangChain and lm-eval. Begin with
`lm_eval.py`, or with `langchain.py` and `langchain_chat.py`.
"""
