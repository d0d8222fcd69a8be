"""The pictures of these pages, made anew by the functions of `groundup lab`, so that the pages show what a reader gets.

Without a file those of SmolLM2-135M-Instruct, which is pulled; a few minutes. With files, emergence.json or
circuit-graph.json, the pictures of these names: what these commands print with --json about a run of one's own.

- `groundup evaluate runs/quickstart/pretrain --tasks grammar,copying,text --over steps`
- `groundup lab runs/quickstart/pretrain --features --text "Romeo, Romeo, wherefore art" --out features.html`
"""

import io
import sys
from pathlib import Path
from typing import Any

from groundup.cli.console import console_progress
from groundup.device import select_compute
from groundup.errors import ConfigError
from groundup.files import read_json_object, write_bytes
from groundup.lab.attention import attention_picture
from groundup.lab.drawing.attention import square, token_axes
from groundup.lab.drawing.circuit_graph import draw_graph
from groundup.lab.drawing.embeddings import draw_neighbours, draw_schemes
from groundup.lab.drawing.loss import draw_curves
from groundup.lab.drawing.tracing import draw_trace
from groundup.lab.neighbours import neighbours
from groundup.lab.patching import causal_trace
from groundup.lab.positions import position_picture
from groundup.lab.style import (
    COLUMN_PIXELS,
    DOTS_PER_INCH,
    LEAST_PIXELS,
    SMALL_SIZE,
    WIDTH_INCHES,
    finish,
    pyplot,
    smallest_type,
)
from groundup.lab.values import AttentionPicture
from groundup.lab.views import VIEWS, function, look_inside
from groundup.weights.model_io import open_model

IMAGES = Path(__file__).parents[1] / "images"
# Of a picture's metadata.
SMALLEST_TYPE = "Smallest type"
MODEL = "smollm2-135m-instruct"
TEXT = "When Mary and John went to the shop, John gave a book to Mary. When Anna and Paul went to the park, Paul gave a ball to"
GRAPH_TEXT = "Romeo, Romeo, wherefore art"
SHORT = "The cat sat on the mat"
# What a page of the site shows as large as it is drawn, with at most four panels.
LENS_TOKENS, LENS_LAYERS = 4, 3
# Of each pattern a head that has it clearly, as the picture of all heads says: block, head, words.
HEADS = {
    (17, 1): "the previous token",
    (19, 9): "the first token",
    (15, 4): "earlier copies of the token",
    (19, 7): "what followed earlier copies",
}
# view -> file
STILLS = {
    "kinds": "kinds",
    "positions": "positions-rope",
    "heads": "heads",
    "lens": "lens",
    "surprise": "surprise",
    "ablation": "ablation",
}


def main() -> None:
    """Write the pictures of the values that are named, or those of the public model."""
    for file in map(Path, sys.argv[1:]):
        values = read_json_object(file)
        if "curves" in values:
            save(draw_curves(values["curves"]), file.stem)
        for graph in values.get("graphs", []):
            if graph["text"] == GRAPH_TEXT:
                save(draw_graph(graph), file.stem)
    if not sys.argv[1:]:
        draw_stills()


def draw_stills() -> None:
    progress = console_progress()
    opened = open_model(MODEL, select_compute("cpu"), progress=progress)
    inside = look_inside(opened, TEXT, name=MODEL, only=tuple(STILLS), progress=progress)
    lens = inside["views"]["lens"]
    lens["pieces"] = lens["pieces"][:LENS_TOKENS]
    lens["layers"] = [
        {**layer, "cells": layer["cells"][:LENS_TOKENS]} for layer in lens["layers"][::LENS_LAYERS]
    ]
    for name, file in STILLS.items():
        save(function(VIEWS[name].draw)(inside["views"][name]), file)
    model, tokenizer = opened.model, opened.tokenizer
    save(draw_neighbours(neighbours(model, tokenizer, "Monday")), "neighbours")
    twice = f"{SHORT}, and the cat sat on the mat"
    save(draw_four(attention_picture(model, tokenizer, twice)), "attention-maps")
    france, italy = (f"The capital of {country} is" for country in ("France", "Italy"))
    trace = causal_trace(model, tokenizer, france, italy, progress=progress)
    save(draw_trace(trace), "tracing")
    schemes = [position_picture(scheme) for scheme in ("none", "sinusoidal", "rope", "alibi")]
    save(draw_schemes(schemes), "positions")


def draw_four(picture: AttentionPicture) -> object:
    """The heads of HEADS, with the tokens on their axes."""
    figure, grid = pyplot().subplots(2, 2, figsize=(WIDTH_INCHES, 8.3))
    for axes, ((block, head), words) in zip(grid.flat, HEADS.items(), strict=True):
        [found] = [
            each for each in picture["heads"] if (each["block"], each["head"]) == (block, head)
        ]
        square(axes, found["weights"])
        token_axes(axes, picture["pieces"], SMALL_SIZE)
        if axes in grid[0]:
            axes.set_xticks([])  # those of the row below
        axes.set_title(f"block {block}, head {head}:\n{words}", fontsize=SMALL_SIZE)
    title = "Four heads of SmolLM2-135M-Instruct, and what each attends to"
    return finish(figure, title=title, caption=picture["caption"])


def save(figure: Any, name: str) -> None:
    """One figure as docs/images/NAME.png, whole or not at all, with its smallest type recorded.

    Raises ConfigError for one that is wider than a page's column, or has smaller type than a reader can read.
    """
    width, smallest = round(figure.get_size_inches()[0] * DOTS_PER_INCH), smallest_type(figure)
    if width > COLUMN_PIXELS or smallest < LEAST_PIXELS:
        message = f"{name} is {width} pixels wide, with type of {smallest:.1f} pixels."
        raise ConfigError(message, fix=f"At most {COLUMN_PIXELS}, and {LEAST_PIXELS} or more.")
    file = io.BytesIO()
    metadata = {SMALLEST_TYPE: f"{smallest:.1f} pixels"}
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata=metadata)
    write_bytes(IMAGES / f"{name}.png", file.getvalue())


if __name__ == "__main__":
    main()
