"""The views of the lab by name, in words: heading, what to see, and the concept page about it. No torch, so that `groundup lab --help` can list them.

`internals.py` computes each view, `gallery.py` draws it; the page (`page.py`) asserts that all three name the same ones.
"""

# name -> (heading, what to see)
WORDS: dict[str, tuple[str, str]] = {
    "tokens": ("The text as the model gets it", "Pieces of words with a number each: the model never sees letters."),
    "embeddings": (
        "A map of the embedding table",
        "Each token is a row of numbers; here the two directions along which these rows differ most. Who stands together?",
    ),
    "neighbours": ("The nearest words", "Which words have nearly the same row: what the model holds to be alike."),
    "kinds": (
        "Are neighbours of one kind?",
        "Days near days, countries near countries: the share of neighbours of a word's own kind, and what chance would give.",
    ),
    "positions": (
        "How places are told apart",
        "What a score keeps of itself as the distance between two tokens grows.",
    ),
    "heads": (
        "Heads that do something nameable",
        "Every head is tried on random tokens given twice: does it look at the token before, the first, its own copies, or (induction) at what "
        "followed its copy last time? Choose a habit; dark squares have it.",
    ),
    "attention": (
        "Where every head looks",
        "Row: the token that looks; column: where. Choose a block and a head, and point at a square.",
    ),
    "last_token": (
        "From the last token, block by block",
        "Where the next word is made from, and in which block.",
    ),
    "reach": (
        "How far back heads look",
        "Some heads look at neighbours only, some at the whole text, many rest on the first token.",
    ),
    "steps": (
        "One head, step by step",
        "Queries and keys give scores; scores are scaled, masked and made shares; the shares mix the values. All numbers are the model's own.",
    ),
    "lens": (
        "The guess after every block",
        "What the model would answer if it stopped there. Upwards the guesses become what it says in the end.",
    ),
    "surprise": (
        "What the model did not expect",
        "High bars are surprises. Point at one to read what was expected instead.",
    ),
    "context": (
        "What context is worth",
        "The farther into the text, the better the next token is known, if the model uses what it has read.",
    ),
    "sentences": ("What earlier sentences are worth", "The same sentence read alone, and after those before it."),
    "ablation": (
        "What each head and each block is worth",
        "One is taken away: how much worse is the text predicted? Dark squares are needed here.",
    ),
    "attribution": ("Which tokens made the decision", "To the right: spoke for it. To the left: against."),
    "attention_forming": (
        "Attention forming",
        "The same heads after more and more steps of training: they begin by looking everywhere alike. Which habit comes first?",
    ),
    "embeddings_forming": (
        "Embeddings forming",
        "The same tokens on the same axes. The model never sees letters, and yet tokens that look alike to us come to stand together.",
    ),
}

# name -> the page of docs/concepts that explains it
CONCEPTS: dict[str, str] = {
    "tokens": "embeddings",
    "embeddings": "embeddings",
    "neighbours": "embeddings",
    "kinds": "embeddings",
    "positions": "positions",
    "heads": "heads",
    "attention": "attention",
    "last_token": "attention",
    "reach": "heads",
    "steps": "attention",
    "embeddings_forming": "embeddings",
    "attention_forming": "attention",
}
# What the others have: the page about looking inside.
ABOUT_ALL = "inside"
