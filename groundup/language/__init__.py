"""The words of a text: folded and stemmed words, stop words, number words, weekdays and calendar
dates, spelling. Text goes in, values come out; nothing is read but the text. And what a customer
reads, in each language (`messages.py`).

Begin with `terms.py`.
"""
