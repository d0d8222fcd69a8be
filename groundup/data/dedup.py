"""Exact repeats: the second and every later document with the same cleaned text.

16 bytes of each text's SHA-256 are remembered (about 100 bytes a document in Python): ten million documents take a gigabyte, where a file of
sorted digests would be the next step. Two different texts among ten million agree in 128 bits with probability 1e-25.
"""

import hashlib


class ExactRepeats:
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def is_repeat(self, text: str) -> bool:
        """Whether this text was shown before; remembers it."""
        digest = hashlib.sha256(text.encode()).digest()[:16]
        if digest in self._seen:
            return True
        self._seen.add(digest)
        return False
