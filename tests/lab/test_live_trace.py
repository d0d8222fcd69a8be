"""What the page with a model inside traces of its forward pass, run by node, against PyTorch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from groundup.lab.head_patterns import steps_of
from groundup.model.attention import Attention
from groundup.model.block import Block
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from tests.live_shapes import SHAPES, needs_node, open_shape, run_in_node

TEXT = "To be, or not to be, that is the question"
# Each value that the probe sees of each token: those of two of them are compared.
TRACE = """(models, given) => Object.fromEntries(Object.entries(models).map(([name, { model }]) => {
  const traces = given.ids.map((id, position) => new TokenTrace(model, id, position));
  return [name, traces.map((trace) => Object.fromEntries(trace.values))];
}))"""
ALSO = {"sinusoidal": {"positions": "sinusoidal"}, "ALiBi": {"positions": "alibi"}}


@needs_node
def test_traced_values_are_those_of_the_model_in_pytorch(tokenizer: Tokenizer) -> None:
    models = {name: open_shape(tokenizer, **shape) for name, shape in (SHAPES | ALSO).items()}
    ids = tokenizer.encode(TEXT)
    for name, traces in run_in_node(TRACE, models, ids=ids).items():
        model = models[name].model
        assert isinstance(model, LanguageModel)
        expected = values_in_torch(model, ids)
        assert set(traces[-1]) == set(expected), name
        for key, values in expected.items():
            for position in (3, len(ids) - 1):
                row = values[position]
                found = torch.tensor(traces[position][key])
                if key.startswith(("scores", "weights")):  # the page has those of the tokens seen
                    row = row[row > -torch.inf if key.startswith("scores") else row > 0]
                assert torch.allclose(found, row, atol=2e-5, rtol=1e-4), (name, key, position)


@torch.no_grad()
def values_in_torch(model: LanguageModel, ids: list[int]) -> dict[str, Tensor]:
    """By the trace's keys: the name, the layer and the head (-1: none)."""
    found: dict[str, Tensor] = {}

    def keep(name: str, layer: int = -1) -> Callable[..., None]:
        def hook(module: nn.Module, given: Any, output: Tensor) -> None:
            found[f"{name} {layer} -1"] = output[0].flatten(1)

        return hook

    transformer, config = model.transformer, model.config
    hooks = [transformer.embedding.register_forward_hook(keep("embedding"))]
    hooks.append(transformer.final_norm.register_forward_hook(keep("final_norm")))
    if transformer.position_embedding is not None:
        added = transformer.position_embedding
        hooks.append(added.register_forward_hook(keep("position_embedding")))
    for layer in range(config.num_layers):
        block = transformer.block(layer)
        for name, part in parts_of(block).items():
            hooks.append(part.register_forward_hook(keep(name, layer)))
    tokens = torch.tensor([ids])
    found["logits -1 -1"] = model(tokens)[0]
    for hook in hooks:
        hook.remove()
    stream = transformer.embed(tokens)
    found["stream 0 -1"] = stream[0]
    for layer in range(config.num_layers):
        attention, _ = steps_of(model, ids, layer, 0)
        found |= attention_in_torch(model, ids, layer, stream, attention)
        stream = transformer.run_blocks(stream, layer, layer + 1)
        found[f"stream {layer + 1} -1"] = stream[0]
    return found


def parts_of(block: Block) -> dict[str, nn.Module]:
    """The modules whose outputs are traced under their own names."""
    attention, feedforward = block.attention, block.feedforward
    parts = {"feedforward": feedforward, "attention": attention}
    names = ("attention_norm", "attention_output_norm", "feedforward_norm")
    for name in (*names, "feedforward_output_norm"):
        parts[name] = getattr(block, name)
    for name in ("query", "key", "value", "query_norm", "key_norm"):
        parts[name] = getattr(attention, name, None)
    for name in ("gate", "up"):
        parts[name] = getattr(feedforward, name, None)
    return {name: part for name, part in parts.items() if part is not None}


def attention_in_torch(
    model: LanguageModel, ids: list[int], layer: int, stream: Tensor, attention: Attention
) -> dict[str, Tensor]:
    """What no module gives: rotated queries and keys, scores, weights, the heads' outputs, the
    stream after attention, and the inner values of the feed-forward network.
    """
    block, found = model.transformer.block(layer), {}
    metadata = model.transformer.metadata(torch.tensor([ids]), None, None).by_block[layer]
    read = block.attention_input(stream)
    if metadata.rotation is not None:
        rotated = attention.queries_and_keys(read, metadata.rotation)
        for name, heads in zip(("query_rotated", "key_rotated"), rotated, strict=True):
            found[name] = heads[0].transpose(0, 1).flatten(1)
    outputs = []
    for head in range(model.config.num_heads):
        steps = steps_of(model, ids, layer, head)[1]
        found[f"scores {layer} {head}"] = steps.tables[-2][2]
        found[f"weights {layer} {head}"] = steps.tables[-1][2]
        outputs.append(steps.mixed)
    found["heads"] = torch.cat(outputs, dim=-1)
    captured: dict[str, Tensor] = {}
    hook = block.feedforward.down.register_forward_pre_hook(
        lambda module, given: captured.update(inner=given[0][0])
    )
    block(stream, metadata)
    hook.remove()
    found |= captured
    found["between"] = between(block, stream, attention(read, metadata))[0]
    return {key if " " in key else f"{key} {layer} -1": value for key, value in found.items()}


def between(block: Block, stream: Tensor, added: Tensor) -> Tensor:
    if block.kind in ("output", "sandwich"):
        assert block.attention_output_norm is not None
        return stream + block.attention_output_norm(added)
    return stream + added


CHOSEN = """(_, { texts }) => texts.map((layers) => {
  const trace = Object.create(TokenTrace.prototype);
  trace.values = new Map(layers.flatMap((heads, layer) =>
    heads.map((weights, head) => [traceKey("weights", layer, head), Float64Array.from(weights)])));
  return trace.clearestHead({ num_layers: layers.length, num_heads: layers[0].length });
})"""


@needs_node
def test_the_pictures_begin_with_the_first_head_that_looks_at_one_earlier_token() -> None:
    even, first = [0.25] * 4, [0.9, 0.04, 0.03, 0.03]
    clear, clearer = [0.1, 0.6, 0.2, 0.1], [0, 1, 0, 0]
    texts = [
        [[even, first], [even, clear], [clearer, even]],
        [[even, first], [even, even], [first, [0.2, 0.2, 0.3, 0.3]]],  # none is clear
        [[[0.5, 0.5], [0.1, 0.9]]],
    ]
    found = run_in_node(CHOSEN, {}, texts=texts)
    assert [(each["layer"], each["head"]) for each in found] == [(1, 1), (2, 1), (0, 0)]
