"""Stage 2: a tokenizer is trained on the train split only, and all documents are encoded into token
shards.

tokenizer/tokenizer.json ...    the tokenizer        tokenizer/shards/    train.bin, validation.bin,
                                test.bin, shards.json
tokenizer/report.json           for the report: some texts split into tokens
"""

import shutil

from groundup.data.batches.shards import open_shards, write_shards
from groundup.data.split import TRAIN, VALIDATION, read_split
from groundup.files import atomic_folder, write_json
from groundup.lab.tokens import tokenizer_report
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.tokenizer.fast import train_tokenizer
from groundup.tokenizer.training_sample import SAMPLE_BYTES

SHARDS = "shards"
SHOWN_CHARACTERS = 400
HARD_LINE = "In 1984: 3.14159, naïve café, 日本 🙂, and <|im_end|> written by a user."


def run(context: StageContext) -> StageResult:
    data = context.build / "data"
    texts = (document.text for document in read_split(data, TRAIN))
    table = context.recipe.tokenizer
    limit = table.sample_bytes or SAMPLE_BYTES
    tokenizer = train_tokenizer(
        texts, table.vocab_size, sample_bytes=limit, progress=context.progress
    )
    shards = context.folder.with_name(".tmp-shards")
    write_shards(data, tokenizer, shards, progress=context.progress)
    with atomic_folder(context.folder) as folder:
        tokenizer.save(folder)
        shutil.move(shards, folder / SHARDS)
        first = next(read_split(data, VALIDATION)).text
        held_out = (document.text for document in read_split(data, VALIDATION))
        examples = [first[:SHOWN_CHARACTERS].strip(), HARD_LINE]
        write_json(folder / "report.json", tokenizer_report(tokenizer, examples, held_out))
    train, size = open_shards(context.folder / SHARDS).splits[TRAIN], tokenizer.vocab_size
    bytes_per_token = train.utf8_bytes / max(1, train.tokens)
    facts = {
        "vocab_size": size,
        "train_tokens": train.tokens,
        "bytes_per_token": round(bytes_per_token, 3),
    }
    return StageResult(
        f"{size:,} ids; {train.tokens:,} training tokens of {bytes_per_token:.2f} bytes", facts
    )


STAGE = Stage(
    "tokenizer",
    1,
    run,
    share=0.02,
    describe=lambda recipe: f"byte-level BPE, {recipe.tokenizer.vocab_size:,} ids",
    needs=("data",),
    outputs=("tokenizer.json", "tokenizer_config.json", f"{SHARDS}/*.bin", f"{SHARDS}/shards.json"),
)
