"""Which shares of the sources, and which processing steps, lower the loss on the user's own target:
`groundup plan DATA... --mixture search`.

    texts.py     the texts, the texts with each step more, the target, as tokens
    surface.py   shares that are drawn, a regression of the loss over them, its lowest point
    search.py    proxy runs -> the surface -> proportional and found shares in paired runs -> results

Begin with `search.py`.
"""
