"""What a model or a stranger wrote, for a terminal."""


def plain(text: str) -> str:
    """One line; control characters never reach the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
