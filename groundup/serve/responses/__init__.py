"""/v1/responses, which OpenAI and Perplexity have: functions, search in documents, streams of
events, responses that follow an earlier one.

    body, kept responses -> `request.py` -> ResponsesRequest -> `perplexity/answers.py` -> events -> bytes

Begin with `routes.py`; `kept.py` has the responses of before, in memory.
"""
