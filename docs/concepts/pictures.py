"""The pictures of these pages, made anew: `python docs/concepts/pictures.py` (pulls SmolLM2-135M-Instruct, a minute or two).

The same functions as `groundup lab`, so that the pages show what a reader gets.
"""

from pathlib import Path

from groundup.cli.console import console_progress
from groundup.device import select_compute
from groundup.files import write_bytes
from groundup.lab.attention import attention_picture
from groundup.lab.drawing.attention import draw_maps
from groundup.lab.drawing.embeddings import draw_neighbours, draw_schemes
from groundup.lab.drawing.tracing import draw_trace
from groundup.lab.neighbours import neighbours
from groundup.lab.patching import causal_trace
from groundup.lab.positions import position_picture
from groundup.lab.views import VIEWS, function, look_inside
from groundup.weights.model_io import open_model

IMAGES = Path(__file__).parents[1] / "images"
MODEL = "smollm2-135m-instruct"
TEXT = "When Mary and John went to the shop, John gave a book to Mary. When Anna and Paul went to the park, Paul gave a ball to"
SHORT = "The cat sat on the mat"
DOTS_PER_INCH = 100
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
    """Write every picture."""
    progress = console_progress()
    opened = open_model(MODEL, select_compute("cpu"), progress=progress)
    inside = look_inside(opened, TEXT, name=MODEL, only=tuple(STILLS), progress=progress)
    for name, file in STILLS.items():
        save(function(VIEWS[name].draw)(inside["views"][name]), file)
    model, tokenizer = opened.model, opened.tokenizer
    save(draw_neighbours(neighbours(model, tokenizer, "Monday")), "neighbours")
    some = attention_picture(
        model, tokenizer, SHORT + ", and the cat sat on the mat", blocks=range(16, 23)
    )
    save(draw_maps(some), "attention-maps")
    france, italy = (f"The capital of {country} is" for country in ("France", "Italy"))
    trace = causal_trace(model, tokenizer, france, italy, progress=progress)
    save(draw_trace(trace), "tracing")
    schemes = [position_picture(scheme) for scheme in ("none", "sinusoidal", "rope", "alibi")]
    save(draw_schemes(schemes), "positions")


def save(figure: object, name: str) -> None:
    """One figure as docs/images/NAME.png, whole or not at all."""
    import io

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)  # type: ignore[attr-defined]
    write_bytes(IMAGES / f"{name}.png", file.getvalue())


if __name__ == "__main__":
    main()
