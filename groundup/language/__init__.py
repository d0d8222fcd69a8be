"""The words of a text: folded and stemmed words, stop words, number words, weekdays and calendar
dates, spelling. Text goes in, values come out; nothing is read but the text. And what a customer
(`messages.py`) and the reader of a report (`page_texts.py`) reads, in each language.

Begin with `terms.py`.
"""
