"""Exact deduplication: finds every document whose cleaned text occurred before.

It stores 16 bytes of each text's SHA-256 (about 100 bytes a document in Python): ten million documents take a gigabyte; beyond that, a file of
sorted digests would be needed. Two different texts among ten million agree in 128 bits with probability 1e-25.
"""

import hashlib


class ExactRepeats:
    """The set of texts seen so far."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def is_repeat(self, text: str) -> bool:
        """Return whether this text was seen before, and add it."""
        digest = hashlib.sha256(text.encode()).digest()[:16]
        if digest in self._seen:
            return True
        self._seen.add(digest)
        return False
