"""Graphs of texts with the transcoder of a run, and how often graphs explain held-out passages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from groundup.data.split import VALIDATION
from groundup.errors import ModelError
from groundup.lab.circuit_values import CircuitGraph, FaithfulnessSummary, FeatureList
from groundup.lab.circuits.features import own_transcoder
from groundup.lab.circuits.gates import GatedModel, gated_model, require_plain_sum
from groundup.lab.circuits.graph import NOTHING, graph_of, require_length
from groundup.lab.circuits.run_texts import run_rows
from groundup.lab.stream import document_ids, require_language_model
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.weights.model_io import OpenModel

TEXTS = (
    "To be, or not to be, that is the",
    "Romeo, Romeo, wherefore art",
    "My lord, the king is",
    "The cat sat on the mat. The cat sat on the",
    "Once upon a time there was a little",
    "He opened the door and went into the",
)
# Rows of the texts whose means stand for a closed part; the most tokens of a text with a graph.
MEAN_ROWS, MOST_TOKENS = 256, 24
# Held-out passages, and their tokens.
PASSAGES, PASSAGE_TOKENS = 40, 16


@dataclass(frozen=True)
class Explainer:
    """What graphs of a model are made with."""

    opened: OpenModel
    gated: GatedModel
    names: dict[int, str]
    """Of features, by index."""

    def graph(self, text: str) -> CircuitGraph:
        """Raises DataError (no text, too long), ModelError."""
        tokenizer = self.opened.require_tokenizer()
        ids = document_ids(self.opened.model, tokenizer, text)
        return graph_of(self.gated, tokenizer, ids, self.names)

    def graphs(self, texts: Sequence[str], progress: Progress) -> list[CircuitGraph]:
        found = []
        with progress.track("graphs", len(texts), "texts") as advance:
            for text in texts:
                found.append(self.graph(text))
                advance(1)
        return found

    def summary(self, progress: Progress) -> FaithfulnessSummary:
        """Of passages from held-out texts of the run."""
        tokens = min(PASSAGE_TOKENS, len(self.gated.means.token))
        rows = run_rows(self.opened, PASSAGES, tokens, split=VALIDATION, seed=5)
        tokenizer, found = self.opened.require_tokenizer(), []
        with progress.track("graphs of held-out passages", len(rows), "passages") as advance:
            for ids in rows:
                found.append(graph_of(self.gated, tokenizer, ids, {}, with_edges=False))
                advance(1)
        some = [graph for graph in found if graph["why"] != NOTHING]
        return {
            "texts": len(found),
            "tokens": tokens,
            "explained": sum(graph["explained"] for graph in found),
            "little": len(found) - len(some),
            "faithfulness": sorted(graph["faithfulness"] for graph in some),
            "left": sorted(graph["left"] for graph in some),
            "chance": sorted(graph["chance"] for graph in some),
            "nodes": sorted(len(graph["nodes"]) for graph in some if graph["explained"]),
        }


def why_no_graphs(opened: OpenModel, texts: Sequence[str]) -> str:
    """Why a model has none; "" where it has. Raises DataError for a text of which there is none,
    ModelError for another kind of model.
    """
    model, tokenizer = require_language_model(opened.model), opened.require_tokenizer()
    for text in texts:
        require_length(document_ids(model, tokenizer, text), most_tokens(model))
    try:
        require_plain_sum(model)
    except ModelError as reason:
        return reason.message
    return ""


def most_tokens(model: LanguageModel) -> int:
    """Of a text with a graph, the token that begins it included."""
    return min(MOST_TOKENS, model.config.context_tokens)


def explainer(
    opened: OpenModel, folder: Path, found: FeatureList, *, progress: Progress | None = None
) -> Explainer:
    """With the transcoder in `folder` and the names of its features in `found`.

    Raises FormatError, ModelError (a transcoder of another model, blocks without graphs).
    """
    model, transcoder, card = own_transcoder(opened, folder)
    rows = run_rows(opened, MEAN_ROWS, most_tokens(model), seed=2, progress=progress or Silent())
    gated = gated_model(model, transcoder, card.block, torch.tensor(rows))
    names = {entry["number"] - 1: entry["name"] for entry in found["features"]}
    return Explainer(opened, gated, names)
