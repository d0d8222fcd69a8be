"""The API of Perplexity: /chat/completions and /search, and /v1/responses, which OpenAI has too: answers from the indexes that are served.

    body -> SearchRequest (`search_request.py`) -> routes.py -> a SourcedAnswer, or a plain answer of the model -> `chat.py`, `responses.py` -> bytes

Begin with `routes.py`; `filters.py` says which passages are searched, `results.py` what a client sees of them.
"""
