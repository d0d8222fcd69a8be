"""Graphs of predictions: gates are plain interventions, effects and edges add up, and what is not
explained is said."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from groundup.errors import DataError, ModelError
from groundup.lab.circuit_values import FaithfulnessSummary, GraphNode
from groundup.lab.circuits import graph as making
from groundup.lab.circuits.edges import edges_of
from groundup.lab.circuits.gates import GatedModel, ModelPart, gated_model
from groundup.lab.circuits.graph import graph_of
from groundup.lab.circuits.page import graph_sections
from groundup.lab.circuits.transcoder import Transcoder, replaced
from groundup.lab.hooks import changed
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from tests.lab.test_lab_contributions import random_model
from tests.model.conftest import GPT2

KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt2": GPT2,
    "parallel": {"block": "parallel"},
    "qwen3": {"qk_norm": "head", "head_width": 16, "tied_head": False},
}
LENGTH, FIRST = 6, 7


def gated(model: LanguageModel) -> GatedModel:
    torch.manual_seed(3)
    transcoder = Transcoder(model.config.width, 64, 4).eval()
    rows = torch.randint(0, model.config.vocab_size, (8, LENGTH + 2))
    rows[:, 0] = FIRST  # begins every text: it is no part
    return gated_model(model, transcoder, 2, rows)


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def made(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Iterator[GatedModel]:
    model = random_model(tokenizer, **request.param)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    yield gated(model)


@pytest.fixture(scope="module")
def ids(tokenizer: Tokenizer) -> list[int]:
    return [FIRST, *tokenizer.encode("To be, or not to be")][:LENGTH]


@torch.no_grad()
def log_probability(made: GatedModel, ids: list[int], decision: int) -> float:
    logits = made.model(torch.tensor([ids]))[0, -1].float()
    return float(logits.log_softmax(dim=-1)[decision])


@torch.no_grad()
def test_open_gates_are_the_model_and_a_closed_one_is_a_plain_hook(
    made: GatedModel, ids: list[int]
) -> None:
    head, feature = ModelPart("head", 0, 2, 3), ModelPart("feature", 1, 0, 5)
    network = ModelPart("network", 2, 0, 5)
    active = made.run(ids, made.gates(1, len(ids), 1.0))[1].feature[0, 5]
    feature = feature._replace(number=int(active.argmax()))
    gates = made.gates(4, len(ids), 1.0)
    for row, part in enumerate((head, network, feature), start=1):
        gates.set(row, [part], 0.0)
    final, _ = made.run(ids, gates)
    logits = made.model.logits(made.model.transformer.final_norm(final[:, -1]))

    def plain() -> torch.Tensor:
        return made.model(torch.tensor([ids]))[0, -1]

    def close_head(found: torch.Tensor) -> torch.Tensor:
        found[:, 3, 2] = made.means.head[0, 3, 2]
        return found

    def close_network(found: torch.Tensor) -> torch.Tensor:
        found[:, 5] = made.means.network[2, 5]
        return found

    def close_feature(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        less = active[feature.number] - made.means.feature[5, feature.number]
        y[:, 5] -= less * made.transcoder.directions[feature.number]
        return y

    assert torch.allclose(logits[0], plain(), atol=1e-3)
    with changed(made.model, "head", 1, close_head):
        assert torch.allclose(logits[1], plain(), atol=1e-3)
    with changed(made.model, "feedforward", 3, close_network):
        assert torch.allclose(logits[2], plain(), atol=1e-3)
    with replaced(made.model, 2, close_feature):
        assert torch.allclose(logits[3], plain(), atol=1e-3)


def test_effects_of_all_parts_add_up_to_what_the_text_changes(
    made: GatedModel, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "STEPS", 200)
    decision = 5
    explained = making._Explained(made, ids, decision)
    effects = making.part_effects(explained)
    full, ablated, _ = making._tried(explained, list(effects))
    assert full == pytest.approx(log_probability(made, ids, decision), abs=1e-3)
    assert sum(effects.values()) == pytest.approx(full - ablated, rel=0.05, abs=0.05)


def test_a_graph_keeps_what_it_says_and_its_edges_add_up(
    made: GatedModel, ids: list[int], tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.lab.circuits.edges.STEPS", 64)
    found = graph_of(made, tokenizer, ids, {0: "a"})
    assert 1 <= len(found["nodes"]) <= making.MOST
    assert found["explained"] == (found["why"] == "")
    parts = [
        ModelPart(node["kind"], node["block"] - 1, max(0, node["number"] - 1), node["token"] - 1)
        for node in found["nodes"]
    ]
    gates = made.gates(2, len(ids), 0.0)
    for each in gates.all():
        each[1] = 1.0
    gates.set(0, parts, 1.0)
    gates.set(1, parts, 0.0)
    decision = int(made.model(torch.tensor([ids]))[0, -1].argmax())
    kept, removed = making._Explained(made, ids, decision).score(gates).tolist()
    assert found["kept"] == pytest.approx(kept, abs=1e-3)
    assert found["removed"] == pytest.approx(removed, abs=1e-3)
    into = [edge["weight"] for edge in found["edges"] if edge["target"] is None]
    assert len(into) == len(parts)
    changed_by = found["kept"] - found["ablated"]
    assert sum(into) == pytest.approx(changed_by, abs=0.05 * (1 + abs(changed_by)))
    for edge in found["edges"]:
        if edge["target"] is not None:
            source, target = parts[edge["source"]], parts[edge["target"]]
            assert source.token <= target.token
            assert source.kind == "token" or source.block <= target.block


@torch.no_grad()
def test_a_cut_edge_is_a_plain_intervention(made: GatedModel, ids: list[int]) -> None:
    last, head = LENGTH - 1, ModelPart("head", 0, 1, LENGTH - 1)
    network = ModelPart("network", 2, 0, last)
    active = made.run(ids, made.gates(1, len(ids), 1.0))[1].feature[0, last]
    feature = ModelPart("feature", 1, int(active.argmax()), last)
    explained = making._Explained(made, ids, 5)

    def score(*parts: ModelPart) -> float:
        gates = made.gates(1, len(ids), 0.0)
        gates.set(0, parts, 1.0)
        return float(explained.score(gates))

    def cuts(*parts: ModelPart) -> dict[tuple[int, int | None], float | None]:
        with torch.enable_grad():
            found = edges_of(made, ids, parts, explained.read)
        return {(edge.source, edge.target): edge.cut for edge in found}

    # A token that only a head reads: without the edge it is as if it were closed.
    alone = {
        (ModelPart("token", 0, 0, place), ModelPart("head", block, number, last))
        for place in range(1, last)
        for block in (0, 1)
        for number in (0, 1, 2)
    }
    lost = {pair: score(*pair) - score(pair[1]) for pair in alone}
    most = max(alone, key=lambda pair: abs(lost[pair]))
    assert abs(lost[most]) > 1e-4
    assert cuts(*most)[0, 1] == pytest.approx(lost[most], abs=1e-5)
    # What a head of block 1 adds, taken from what the network of a later block reads.
    for target in (network, feature):
        parts = (head, target)
        opened = made.gates(1, len(ids), 0.0)
        opened.set(0, parts, 1.0)
        seen = made.run(ids, opened)[1].last()
        width = made.model.config.head_width
        output = made.model.transformer.block(0).attention.output.weight
        change = seen.head[0, last, 1] - made.means.head[0, last, 1]
        added = output[:, width : 2 * width] @ change
        block = made.model.transformer.block(target.block)

        def less(_: object, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            stream = inputs[0].clone()
            stream[:, last] -= added  # noqa: B023
            return (stream,)

        handle = (block.feedforward_norm or block.attention_norm).register_forward_pre_hook(less)
        without = score(*parts)
        handle.remove()
        assert cuts(*parts)[0, 1] == pytest.approx(score(*parts) - without, abs=1e-5)
    assert cuts(head, network)[0, None] is not None


def test_a_page_says_what_is_not_explained(
    model: LanguageModel, ids: list[int], tokenizer: Tokenizer
) -> None:
    from groundup.html_nodes import node, to_html

    found = graph_of(gated(model), tokenizer, ids, {})
    edge = {"source": 0, "target": None, "weight": 0.4}
    edges = [{**edge, "cut": cut} for cut in (0.3, 0.1, None)]
    known = {**found, "explained": True, "why": "", "edges": edges}
    unknown = {**found, "explained": False, "why": "the 40 largest parts alone give 0.30"}
    summary: FaithfulnessSummary = {
        "texts": 3,
        "tokens": 16,
        "explained": 1,
        "little": 1,
        "faithfulness": [0.3, 0.9],
        "left": [0.1, 0.2],
        "chance": [0.0, 0.1],
        "nodes": [12],
    }
    page = to_html(node("main", graph_sections([known, unknown], summary, (0.1, 0.8))))
    assert page.count("Not explained: ") == 1
    assert "Explained by" in page
    assert "The 3 largest edges, in nats; 1 of the 2 that were cut are confirmed" in page
    assert (
        "1 are explained (95 % interval 10% to 80%), and 2 are not (1 are predicted nearly as much"
        in page
    )


def test_a_graph_fits_the_column_of_a_page_and_no_box_lies_on_another(
    model: LanguageModel, ids: list[int], tokenizer: Tokenizer
) -> None:
    from groundup.lab.drawing.circuit_graph import draw_graph
    from groundup.lab.style import COLUMN_PIXELS, DOTS_PER_INCH

    found = graph_of(gated(model), tokenizer, ids, {})
    kinds = ["token"], ["head"] * 4, ["feature"] * 5, ["network"]
    nodes: list[GraphNode] = [
        {
            "kind": kind,
            "block": block * (kind != "token"),
            "number": number,
            "token": token,
            "name": f"feature {number} “·mercy” at “{token}”" if kind == "feature" else kind,
            "effect": -1.5,
        }
        for token in (1, LENGTH)
        for block in ((1, 2) if token > 1 else (1,))
        for number, kind in enumerate(part for level in kinds for part in level)
        if kind != "token" or block == 1
    ]
    figure = draw_graph({**found, "nodes": nodes, "edges": []})
    assert figure.get_size_inches()[0] * DOTS_PER_INCH <= COLUMN_PIXELS
    boxes = [
        text.get_window_extent()
        for text in figure.axes[0].texts
        if not text.get_text().startswith("→")
    ]
    assert len(boxes) == len(nodes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_what_has_no_graph_is_refused(
    model: LanguageModel, ids: list[int], tokenizer: Tokenizer
) -> None:
    with pytest.raises(DataError, match="1 to 7 tokens"):
        graph_of(gated(model), tokenizer, [*ids, *ids], {})
    other = random_model(tokenizer, block="output", qk_norm="projection")
    with pytest.raises(ModelError, match="with a norm after them"):
        gated(other)
