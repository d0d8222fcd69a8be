r"""How a text falls into pieces before byte pairs are merged: the "pre-tokenizer". Merges never cross the edge of a piece.

Each is known by its name in llama.cpp (`tokenizer.ggml.pre` in a GGUF file) and is one or more regular expressions, applied one after the
other: every match becomes a piece, and so does what lies between matches; the next expression splits each piece further.

Tokenizers that we train use "llama-bpe", the expression of Llama 3: llama.cpp knows it by name and Ollama's importer by the hash of the
expression, so the same ids come out everywhere. GPT-2's own form is taken for "default" by Ollama, which splits a fifth of all lines differently.

Sources: the `tokenizer.json` files of GPT-2, Llama 3, Qwen 2 and SmolLM 2; "default" is what src/llama-vocab.cpp does with an unknown name.
Not here: Unicode normalisation (Qwen's files ask for NFC, llama.cpp does none), SentencePiece models.
"""

from collections.abc import Iterator, Mapping

import regex

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # English contractions
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word, with one space or sign before it
    r"|\p{N}{1,3}"  # digits in threes
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation, with a space before and line ends after it
    r"|\s*[\r\n]+"  # line ends
    r"|\s+(?!\S)"  # spaces up to the last one, which goes to the next word
    r"|\s+"
)
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ONE_DIGIT = r"\p{N}"
# Longer than any word, ruler or indentation; the longest piece of a text is then twice as long (signs, then line ends).
MAX_TRAINED_RUN = 256
_LONG_RUN = regex.compile("|".join(f"{kind}{{{MAX_TRAINED_RUN}}}" for kind in (r"\p{L}", r"[^\s\p{L}\p{N}]", r"\s")))

SPLITS: Mapping[str, tuple[str, ...]] = {
    "llama-bpe": (LLAMA3_SPLIT,),
    "gpt-2": (GPT2_SPLIT,),
    "smollm": (ONE_DIGIT, GPT2_SPLIT),
    "qwen2": (QWEN2_SPLIT,),
    "default": (r"[\p{P}\$\+<=>\^~\|]+", GPT2_SPLIT, r"\p{N}+", "[0-9][0-9][0-9]"),
}


def split_text(text: str, split: str) -> list[str]:
    """The pieces of `text` under the split named `split`, in order; joined they are the text.

    >>> split_text("It's 12345 o'clock", "llama-bpe")
    ['It', "'s", ' ', '123', '45', ' o', "'clock"]
    """
    pieces = [text] if text else []
    for expression in SPLITS[split]:
        pieces = [part for piece in pieces for part in _parts(expression, piece)]
    return pieces


def _parts(expression: str, piece: str) -> Iterator[str]:
    """Every match of `expression` in `piece`, and what lies between the matches."""
    end = 0
    for match in regex.finditer(expression, piece):
        if match.start() > end:
            yield piece[end : match.start()]
        if match.end() > match.start():
            yield match.group()
        end = match.end()
    if end < len(piece):
        yield piece[end:]


def training_texts(text: str) -> Iterator[str]:
    """`text` as a vocabulary is learned from it: cut wherever letters, signs or spaces go on for LONGEST_TRAINED_RUN characters.

    Training takes time with the square of a piece's length, and a token as long as that would never be met again. Encoding needs no cut.

    >>> [len(part) for part in training_texts("a" * 600 + " word")]
    [256, 256, 93]
    """
    start = 0
    for match in _LONG_RUN.finditer(text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]


def pre_tokenizer_spec(split: str) -> dict[str, object]:
    """The `pre_tokenizer` entry of a tokenizer.json for a named split, in the form that the family's own files have."""
    *first, last = SPLITS[split]
    # GPT-2's expression comes with the ByteLevel step itself, where it is the last one.
    built_in = last == GPT2_SPLIT
    steps = [_step(expression) for expression in (first if built_in else SPLITS[split])]
    steps.append({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": built_in})
    return steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps}


def _step(expression: str) -> dict[str, object]:
    if expression == ONE_DIGIT:
        return {"type": "Digits", "individual_digits": True}
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def recognise_split(pre_tokenizer: object) -> str | None:
    """The name of the split that the `pre_tokenizer` entry of a tokenizer.json describes, None where it is none of ours."""
    steps = _steps(pre_tokenizer)
    return next((split for split in SPLITS if _steps(pre_tokenizer_spec(split)) == steps), None)


def _steps(spec: object) -> list[object]:
    """The steps of a `pre_tokenizer` entry in a row, without what changes no ids."""
    match spec:
        case {"type": "Sequence", "pretokenizers": [*steps]}:
            return [
                {key: value for key, value in step.items() if key != "trim_offsets"}
                for step in steps
                if isinstance(step, dict)
            ]
        case dict():
            return _steps({"type": "Sequence", "pretokenizers": [spec]})
    return []
