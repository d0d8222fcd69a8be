"""The API of Perplexity, /chat/completions and /search: answers from the indexes that are served.
(/v1/responses has a folder of its own.)

    body -> SearchRequest (`search_request.py`) -> `answers.py` -> a SourcedAnswer, or a plain
        answer of the model -> bytes

Begin with `routes.py`.
"""
