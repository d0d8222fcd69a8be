"""`groundup serve`: the engine on a socket, in the dialects of Ollama, OpenAI and Perplexity.

    JSON -> ollama/, openai/ -> a request of `requests.py` -> `request_preparation.py` (options,
        prompt, truncation) -> `worker.py` -> BatchEngine
    ChatEvents -> the same translator -> bytes

    a question -> perplexity/, responses/, documents.py -> `sourced_answers.py`: an index of
        `indexes.py`, the same engine, checks -> an answer
    a conversation with an assistant -> `assistants.py` -> the same, in every dialect

`server.py` carries out this path; `model_registry.py` maps names to models, `loaded_models.py`
holds those in memory, `app/` has the routes. `local_server.py` is the same without a socket, for
a program in the same process. Begin reading with `requests.py`. Guard, limits and headers are in
the package `http`.
"""
