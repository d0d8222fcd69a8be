"""AccessOptions: who may use `groundup serve`, and `access_of`, the rules that they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from groundup.cli.options import ListenOptions
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.http.access import Access


@dataclass(frozen=True)
class AccessOptions(ListenOptions):
    """Address of the server, and access to it, of pages too."""

    origins: Annotated[
        list[str] | None,
        Option(
            "--cors",
            metavar="ORIGIN",
            help="Allow web pages of https://example.org, or app:// (again for more).",
        ),
    ] = None
    public_keys: Annotated[
        list[str] | None,
        Option(
            "--public-key",
            metavar="ASSISTANT",
            help="Let pages of --cors embed an assistant, or ASSISTANT=KEY (again for more).",
        ),
    ] = None
    keys: Annotated[
        Path | None,
        Option("--keys", help="A file of more keys, each for some models, indexes, assistants."),
    ] = None
    hosts: Annotated[
        list[str] | None,
        Option("--server-name", metavar="NAME", help="A host name of this server, behind a proxy."),
    ] = None
    proxies: Annotated[
        list[str] | None,
        Option("--proxy", metavar="ADDRESS", help="A proxy whose X-Forwarded-For is believed."),
    ] = None


def access_of(listen: AccessOptions) -> tuple["Access", dict[str, str]]:
    """Return the access rules, and assistant -> key of each --public-key.

    Raises ConfigError, FormatError.
    """
    from groundup.http.access import access_for
    from groundup.http.keys import public_key_of, public_keys, read_keys

    public = public_keys(listen.public_keys or (), listen.api_key or "")
    keys = [public_key_of(assistant, key) for assistant, key in public.items()]
    if listen.keys is not None:
        keys += read_keys(listen.keys)
    if listen.hosts and not listen.api_key and not listen.is_open:
        raise ConfigError(
            "--server-name lets other machines in through a proxy, and no key was given.",
            fix="Give --api-key (or GROUNDUP_API_KEY), or --open to accept every client.",
        )
    access = access_for(
        listen.host,
        api_key=listen.api_key,
        is_open=listen.is_open,
        hosts=listen.hosts or (),
        origins=listen.origins,
        local_pages=True,
        keys=keys,
    )
    return access, public


def script_tags(listen: AccessOptions, address: str, public: Mapping[str, str]) -> str:
    """Return the tags for the pages of sites, of assistant -> key; behind a proxy with its name."""
    for name in (listen.hosts or ())[:1]:
        address = f"https://{name}"
    data = (f'data-assistant="{name}" data-key="{key}"' for name, key in public.items())
    tags = [f'<script src="{address}/embed.js" {each} async></script>' for each in data]
    return "\n                   ".join(tags)
