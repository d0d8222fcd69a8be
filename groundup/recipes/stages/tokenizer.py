"""Stage 2: a tokenizer is trained on the train part only, and all documents become token shards.

    tokenizer/tokenizer.json ...    the tokenizer        tokenizer/shards/    train.bin, validation.bin, shards.json
    tokenizer/report.json           pictures for the page: how some texts are cut
"""

import shutil
from typing import Any

from groundup.data.shards import ShardSet, open_shards, write_shards
from groundup.data.split import TRAIN, VALIDATION, read_split
from groundup.files import atomic_folder, write_json
from groundup.lab.tokens import token_pieces
from groundup.recipes.stage import Outcome, Stage, StageContext
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

SHARDS = "shards"
SHOWN_CHARACTERS = 400
LONGEST_SHOWN = 24
FIRST_MERGES_SHOWN = 24


def run(context: StageContext) -> Outcome:
    """Train the tokenizer, write the shards and the page's examples."""
    data = context.build / "data"
    texts = (document.text for document in read_split(data, TRAIN))
    tokenizer = train_tokenizer(texts, context.recipe.tokenizer.vocab_size, progress=context.progress)
    shards = context.folder.with_name(".tmp-shards")
    write_shards(data, tokenizer, shards, progress=context.progress)
    with atomic_folder(context.folder) as folder:
        tokenizer.save(folder)
        shutil.move(shards, folder / SHARDS)
        write_json(folder / "report.json", described(tokenizer, next(read_split(data, VALIDATION)).text))
    return outcome(tokenizer, open_shards(context.folder / SHARDS))


def outcome(tokenizer: Tokenizer, shards: ShardSet) -> Outcome:
    """What came out, in numbers."""
    tokens = shards.splits[TRAIN].tokens
    bytes_per_token = shards.splits[TRAIN].utf8_bytes / max(1, tokens)
    facts = {"vocab_size": tokenizer.vocab_size, "train_tokens": tokens, "bytes_per_token": round(bytes_per_token, 3)}
    return Outcome(f"{tokenizer.vocab_size:,} ids; {tokens:,} training tokens of {bytes_per_token:.2f} bytes", facts)


def described(tokenizer: Tokenizer, text: str) -> dict[str, Any]:
    """Examples for the page: how a text of the validation part and some hard ones are cut, first merges, longest tokens."""
    examples = [text[:SHOWN_CHARACTERS], "The year 1984, 3.14159 and naïve café 日本 🙂 <|im_end|>"]
    words = {id: tokenizer.decode([id]) for id in range(tokenizer.vocab_size) if id not in tokenizer.special.tokens.values()}
    longest = sorted(words.values(), key=len, reverse=True)[:LONGEST_SHOWN]
    return {
        "vocab_size": tokenizer.vocab_size,
        "examples": [{"text": shown, "pieces": token_pieces(tokenizer, shown)} for shown in examples],
        "longest": longest,
        "merges_first": [words[256 + rank] for rank in range(min(FIRST_MERGES_SHOWN, max(0, len(words) - 256)))],
    }


STAGE = Stage(
    "tokenizer",
    1,
    run,
    share=0.02,
    needs=("data",),
    outputs=("tokenizer.json", "tokenizer_config.json", f"{SHARDS}/*.bin", f"{SHARDS}/shards.json"),
)
