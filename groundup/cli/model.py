"""`groundup model`: look at a model's architecture without opening its weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli.console import print_result, table
from groundup.cli.options import JsonOption, file_to_write
from groundup.cli.usage import VerbApp
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.lab.architecture import Anatomy, Architecture
    from groundup.weights.model_format import ModelSummary

app = VerbApp("Show a model's architecture without opening its weights.")
PICTURES = (".svg", ".png", ".html")
STEP_PARTS = ("weights", "gradients", "optimizer", "activations", "logits")
HEADERS = ["part", "parameters", "share", "FLOPs/token", "float32", "bf16", "q8_0"]


@app.command("show")
def show(
    model: Annotated[
        str,
        Argument(
            help="A preset, named model, run or model folder, .gguf, or .toml with a model config."
        ),
    ],
    context: Annotated[
        int | None, Option("--context", min=1, help="Tokens of a text; default: the whole context.")
    ] = None,
    batch: Annotated[int, Option("--batch", min=1, help="Texts in a training step.")] = 1,
    out: Annotated[
        Path | None, Option("--out", callback=file_to_write, help="Draw it: .svg, .png or .html.")
    ] = None,
    tensors: Annotated[
        bool, Option("--tensors", help="List every tensor, with its Hugging Face name.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw a model's architecture with tensor shapes, and list each part's parameters, FLOPs and
    memory.

    Only configs and headers are read. FLOPs count the multiplications and additions of one token,
    averaged over a text of --context tokens.

    Examples:
        groundup model show quickstart
        groundup model show runs/mine --context 128 --batch 8
        groundup model show model.gguf --tensors
        groundup model show mine.toml --out mine.svg
    """
    from groundup.lab.architecture import anatomy, architecture, to_plain
    from groundup.weights.model_io import read_model_summary, tensor_names

    if out is not None and out.suffix not in PICTURES:
        fix = f"Name it {out.stem}.svg, for example."
        raise ConfigError(f"--out {out} is not one of {', '.join(PICTURES)}.", fix=fix)
    outline = read_model_summary(model)
    picture = architecture(outline.config, outline.name, outline.labels)
    found = anatomy(
        outline.config,
        context_tokens=context or 0,
        batch_size=batch,
        num_labels=len(outline.labels),
    )
    listed = tensor_names(outline) if tensors else []
    plain = {
        "name": outline.name,
        "source": outline.source,
        "stored": outline.stored,
        **to_plain(found, picture),
    }
    lines = describe(picture, outline, found, out)
    if tensors:
        plain["tensors"] = listed
        rows = [[t["name"], " x ".join(map(str, t["shape"])), t["hugging_face"]] for t in listed]
        lines += ["", *table(["tensor", "shape", "in a Hugging Face file"], rows)]
    if out is not None:
        write_picture(out, picture, outline, found)
        plain["picture"] = str(out)
    print_result(lines, plain, as_json)


def describe(
    picture: "Architecture", outline: "ModelSummary", found: "Anatomy", out: Path | None
) -> list[str]:
    from groundup.lab.drawing.architecture_picture import architecture_lines

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
    """Return the table of parts, the total last."""
    from groundup.report.values import size

    return [
        [
            part.part,
            f"{part.parameters:,}",
            f"{100 * part.share:.1f} %",
            flops_text(part.flops),
            *map(size, part.bytes.values()),
        ]
        for part in (*found.parts, found.total)
    ]


def flops_text(flops: float, unit: str = "") -> str:
    """Three digits: 1.18 MFLOP, 132,096 FLOP."""
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if flops >= scale * 0.9995:
            return f"{flops / scale:.3g} {prefix}{unit}"
    return f"{flops:,.0f} {unit}".rstrip()


def facts_of(outline: "ModelSummary", found: "Anatomy") -> list[tuple[str, str]]:
    """Return the facts below the table: (name, value)."""
    from groundup.report.values import size

    context, cache_bytes = f"{found.context_tokens:,} tokens", found.cache_bytes
    cache = f"{size(cache_bytes['float32'])} in float32, {size(cache_bytes['bf16'])} in bf16, for one text of {context}"
    if found.needed_cache_bytes < cache_bytes["float32"]:
        cache += f" (within the windows {size(found.needed_cache_bytes)}; all is kept)"
    stored = ", ".join(f"{size(count)} as {dtype}" for dtype, count in outline.stored.items())
    facts = [("on disk", stored), ("classes", ", ".join(outline.labels))]
    if found.active_parameters < found.total.parameters:
        active = f"{found.active_parameters:,} parameters per token, of the experts in use"
        facts.append(("active", active))
    forward = f"{flops_text(found.flops.forward, 'FLOP')} forward"
    if outline.config.causal:  # encoders are used here as they are
        training = found.training
        whole_step = f"{forward}, {flops_text(found.flops.training, 'FLOP')} in training"
        step = f"{size(training.total)} in a step of {found.batch_size} x {context} in float32:"
        parts = ", ".join(f"{name} {size(getattr(training, name))}" for name in STEP_PARTS)
        facts += [("a token", whole_step), ("cache", cache), ("training", step), ("", parts)]
    else:
        facts.append(("a token", forward))
    exportable = f"GGUF {_yes_or_why(found.gguf)}; Hugging Face {_yes_or_why(found.hugging_face)}"
    facts += [("attention", found.attention), ("exportable", exportable)]
    return [(name, value) for name, value in facts if value]


def _yes_or_why(reason: str | None) -> str:
    """Return "yes", or "no" with the reason against it."""
    if not reason:
        return "yes"
    return f"no ({reason.rstrip('.')})"


def write_picture(
    out: Path, picture: "Architecture", outline: "ModelSummary", found: "Anatomy"
) -> None:
    """By the file's suffix. Raises DiskError, MissingExtra (.png without matplotlib)."""
    from groundup.files import atomic_file, write_text
    from groundup.lab.drawing.architecture_picture import architecture_page, architecture_svg

    if out.suffix == ".svg":
        write_text(out, architecture_svg(picture))
    elif out.suffix == ".html":
        write_text(
            out, architecture_page(picture, [HEADERS, *rows_of(found)], facts_of(outline, found))
        )
    else:
        from groundup.lab.drawing.architecture_picture import draw_architecture

        figure = draw_architecture(picture)
        with atomic_file(out) as temporary:
            figure.savefig(temporary, format="png", dpi=192)
