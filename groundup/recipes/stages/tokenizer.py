"""Stage 2: a tokenizer is trained on the train part only, and all documents become token shards.

tokenizer/tokenizer.json ...    the tokenizer        tokenizer/shards/    train.bin, validation.bin, shards.json
tokenizer/report.json           pictures for the page: how some texts are cut
"""

import shutil
from pathlib import Path
from typing import Any

from groundup.data.shards import ShardSet, open_shards, write_shards
from groundup.data.split import TRAIN, VALIDATION, read_split
from groundup.files import atomic_folder, write_json
from groundup.lab.tokens import tokenizer_report
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

SHARDS = "shards"
SHOWN_CHARACTERS = 400
HARD_LINE = "In 1984: 3.14159, naïve café, 日本 🙂, and <|im_end|> written by a user."


def run(context: StageContext) -> StageResult:
    """Train the tokenizer, write the shards and the page's examples."""
    data = context.build / "data"
    texts = (document.text for document in read_split(data, TRAIN))
    tokenizer = train_tokenizer(texts, context.recipe.tokenizer.vocab_size, progress=context.progress)
    shards = context.folder.with_name(".tmp-shards")
    write_shards(data, tokenizer, shards, progress=context.progress)
    with atomic_folder(context.folder) as folder:
        tokenizer.save(folder)
        shutil.move(shards, folder / SHARDS)
        write_json(folder / "report.json", pictures(tokenizer, data))
    return outcome(tokenizer, open_shards(context.folder / SHARDS))


def outcome(tokenizer: Tokenizer, shards: ShardSet) -> StageResult:
    """What came out, in numbers."""
    tokens = shards.splits[TRAIN].tokens
    bytes_per_token = shards.splits[TRAIN].utf8_bytes / max(1, tokens)
    facts = {"vocab_size": tokenizer.vocab_size, "train_tokens": tokens, "bytes_per_token": round(bytes_per_token, 3)}
    return StageResult(
        f"{tokenizer.vocab_size:,} ids; {tokens:,} training tokens of {bytes_per_token:.2f} bytes", facts
    )


def pictures(tokenizer: Tokenizer, data: Path) -> dict[str, Any]:
    """For the page: how held-out text and a hard line are cut, first merges, longest tokens."""
    held_out = [document.text for document in read_split(data, VALIDATION)]
    return tokenizer_report(tokenizer, [held_out[0][:SHOWN_CHARACTERS].strip(), HARD_LINE], held_out)


STAGE = Stage(
    "tokenizer",
    1,
    run,
    share=0.02,
    describe=lambda recipe: f"byte-level BPE, {recipe.tokenizer.vocab_size:,} ids",
    needs=("data",),
    outputs=("tokenizer.json", "tokenizer_config.json", f"{SHARDS}/*.bin", f"{SHARDS}/shards.json"),
)
