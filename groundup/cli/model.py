"""`groundup model`: look at a model's architecture without opening its weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundup.cli.console import print_result, table
from groundup.cli.options import JsonOption, file_to_write
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.lab.anatomy import Anatomy, PartCost
    from groundup.lab.architecture import Architecture
    from groundup.weights.model_format import ModelSummary

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")
PICTURES = (".svg", ".png", ".html")
HEADERS = ["part", "parameters", "share", "FLOPs/token", "float32", "bf16", "q8_0"]

ModelName = Annotated[
    str,
    typer.Argument(help="A preset or named model, a run or model folder, a .gguf, or a .toml with the model's fields."),
]
ContextOption = Annotated[
    int | None, typer.Option("--context", min=1, help="Tokens of a text; by default the model's whole context.")
]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Texts in a training step.")]
PictureOption = Annotated[
    Path | None, typer.Option("--out", callback=file_to_write, help="Draw it into a file: .svg, .png or .html.")
]
TensorsOption = Annotated[bool, typer.Option("--tensors", help="List every tensor, with its Hugging Face name.")]


@app.callback()
def group() -> None:
    """Look at a model's architecture without opening its weights."""


@app.command("show")
def show(
    model: ModelName,
    context: ContextOption = None,
    batch: BatchOption = 1,
    out: PictureOption = None,
    tensors: TensorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw how a model is built, shapes along the arrows, and say what each part costs: parameters, operations, memory.

    Only configs and headers are read. FLOPs count each multiplication and addition of one token, averaged over a text of --context tokens.

    Examples:

        groundup model show quickstart

        groundup model show runs/mine --context 128 --batch 8

        groundup model show model.gguf --tensors

        groundup model show mine.toml --out mine.svg
    """
    from groundup.lab.anatomy import anatomy, to_plain
    from groundup.lab.architecture import architecture
    from groundup.weights.model_io import read_model_summary, tensor_names

    if out is not None and out.suffix not in PICTURES:
        raise ConfigError(
            f"--out {out} is not one of {', '.join(PICTURES)}.", fix=f"Name it {out.stem}.svg, for example."
        )
    outline = read_model_summary(model)
    picture = architecture(outline.config, outline.name, outline.labels)
    found = anatomy(outline.config, context_tokens=context or 0, batch_size=batch, num_labels=len(outline.labels))
    listed = tensor_names(outline) if tensors else []
    if out is not None:
        write_picture(out, picture, outline, found)
    plain = {"name": outline.name, "source": outline.source, "stored": outline.stored, **to_plain(found, picture)}
    if tensors:
        plain["tensors"] = listed
    if out is not None:
        plain["picture"] = str(out)
    lines = described(picture, outline, found, out)
    if tensors:
        rows = [[t["name"], " x ".join(map(str, t["shape"])), t["hugging_face"]] for t in listed]
        lines += ["", *table(["tensor", "shape", "in a Hugging Face file"], rows)]
    print_result(lines, plain, as_json)


def described(picture: "Architecture", outline: "ModelSummary", found: "Anatomy", out: Path | None) -> list[str]:
    """Drawing, table and facts for people; the drawing stands in the file `out`, where one was written."""
    from groundup.lab.drawing.architecture_text import architecture_lines

    facts = facts_of(outline, found)
    if out is not None:
        facts.append(("picture", str(out)))
    width = max(len(name) for name, _ in facts)
    return [
        f"{outline.name}: {found.total.parameters:,} parameters. Read from {outline.source}.",
        "",
        *architecture_lines(picture),
        "",
        *table(HEADERS, rows_of(found)),
        "",
        *(f"{name.ljust(width)}  {value}" for name, value in facts),
    ]


def rows_of(found: "Anatomy") -> list[list[str]]:
    """The table of parts, the total last."""
    return [_row(part) for part in (*found.parts, found.total)]


def _row(part: "PartCost") -> list[str]:
    from groundup.report.values import size

    sizes = [size(part_bytes) if part_bytes else "0" for part_bytes in part.bytes.values()]
    return [part.part, f"{part.parameters:,}", f"{100 * part.share:.1f} %", flops_text(part.flops), *sizes]


def flops_text(flops: float, unit: str = "") -> str:
    """Operations in millions, billions or trillions, three digits: 1.18 MFLOP, 132,096 FLOP."""
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if flops >= scale * 0.9995:
            return f"{flops / scale:.3g} {prefix}{unit}"
    return f"{flops:,.0f} {unit}".rstrip()


def facts_of(outline: "ModelSummary", found: "Anatomy") -> list[tuple[str, str]]:
    """What stands below the table: (name, value)."""
    from groundup.report.values import size

    context, training = f"{found.context_tokens:,} tokens", found.training
    parts = ", ".join(
        f"{name} {size(getattr(training, name))}"
        for name in ("weights", "gradients", "optimizer", "activations", "logits")
    )
    cache = f"{size(found.cache_bytes['float32'])} in float32, {size(found.cache_bytes['bf16'])} in bf16, for one text of {context}"
    if found.needed_cache_bytes < found.cache_bytes["float32"]:
        cache += f" (within the windows are {size(found.needed_cache_bytes)}; we keep all)"
    facts = [
        (
            "a token",
            f"{flops_text(found.flops.forward, 'FLOP')} forward, {flops_text(found.flops.training, 'FLOP')} in training",
        ),
        ("cache", cache),
        ("training", f"{size(training.total)} in a step of {found.batch_size} x {context} in float32:"),
        ("", parts),
        ("attention", found.attention),
        ("exportable", f"GGUF {_yes(found.gguf)}; Hugging Face {_yes(found.hugging_face)}"),
    ]
    if found.active_parameters < found.total.parameters:
        facts.insert(0, ("active", f"{found.active_parameters:,} parameters for each token; the other experts rest"))
    if outline.labels:
        facts.insert(0, ("classes", ", ".join(outline.labels)))
    if outline.stored:
        stored = ", ".join(f"{size(count)} as {kind}" for kind, count in outline.stored.items())
        facts.insert(0, ("on disk", stored))
    return facts


def _yes(reason: str | None) -> str:
    return "yes" if reason is None else f"no ({reason.rstrip('.')})"


def write_picture(out: Path, picture: "Architecture", outline: "ModelSummary", found: "Anatomy") -> None:
    """The drawing as a file, by its ending. Raises DiskError, MissingExtra (a .png without matplotlib)."""
    from groundup.files import atomic_file, write_text
    from groundup.lab.drawing.architecture_picture import architecture_page, architecture_svg

    if out.suffix == ".svg":
        write_text(out, architecture_svg(picture))
    elif out.suffix == ".html":
        write_text(out, architecture_page(picture, [HEADERS, *rows_of(found)], facts_of(outline, found)))
    else:
        from groundup.lab.drawing.architecture_picture import draw_architecture

        figure = draw_architecture(picture)
        with atomic_file(out) as temporary:
            figure.savefig(temporary, format="png", dpi=192)
