"""`groundup sign`: a chain of signatures over a build, a run or an export."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption
from groundup.cli.verify import chain_text
from groundup.runs import require_place


def command(
    path: Annotated[
        Path, Argument(metavar="RUN", help="A build, run, model or export folder, or a .gguf file.")
    ],
    key: Annotated[
        Path,
        Option(
            "--key",
            metavar="KEY",
            help="Your private key: a PEM file, elliptic curve P-256, P-384 or P-521, unencrypted.",
        ),
    ],
    after: Annotated[
        Path | None,
        Option(
            "--after", metavar="RUN", help="The signed folder that RUN goes on from, of an export."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a build, a run or an export by OpenSSF Model Signing, with a key of yours and no network.

    Of a build every stage is a link, from the data to the export, and the build is the last; each
    names the SHA-256 of the signature before it. A folder gets chain.json and model.sig, a file
    NAME.sig beside it. What is signed is checked first, as by `groundup verify`. Whoever has the
    public key checks all of it by `groundup verify RUN --key PUB`, or a link alone by the tool
    model_signing.

    A key: openssl ecparam -name prime256v1 -genkey -noout -out key.pem
    and its public part: openssl ec -in key.pem -pubout -out pub.pem

    Examples:
        groundup sign runs/quickstart --key key.pem
        groundup sign exported/ --key key.pem --after runs/quickstart
        groundup sign model.gguf --key key.pem
    """
    from groundup.weights.signing import sign_chain, signing_config
    from groundup.weights.verify import verify_path

    require_place(path, "Give an existing folder or file.")
    if after:
        require_place(after, "Give --after a signed folder.")
    signing_config(key)
    verify_path(path)
    links = sign_chain(path, key, after=after, progress=console_progress())
    lines = [
        f"{path}: signed, each link naming the one before: {chain_text(links)}.",
        f"To check it: groundup verify {path} --key PUB",
    ]
    values = {"path": str(path), "links": [vars(link) for link in links]}
    print_result(lines, values, as_json)
