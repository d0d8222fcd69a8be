"""The head of a page that is one file: a policy by which it loads nothing and runs its own scripts
alone.
"""

from collections.abc import Sequence

from groundup.html_nodes import Node, node, policy_hash


def html_head(
    title: str,
    style: str,
    scripts: Sequence[str],
    *,
    embedded_images: bool = False,
    own_workers: bool = False,
) -> Node:
    """`embedded_images`: those of data: and blob: addresses are shown. `own_workers`: the page may
    start workers of programs that it makes itself (blob: addresses).
    """
    allowed = " ".join(f"'{policy_hash(script)}'" for script in scripts)
    images = "img-src data: blob:; " if embedded_images else ""
    workers = "worker-src blob:; " if own_workers else ""
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; font-src data:; {images}{workers}"
        "base-uri 'none'; form-action 'none'"
    )
    return node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=policy),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="referrer", content="no-referrer"),
        node("title", title),
        node("style", style),
    )
