"""The values of circuits, as they are written as JSON; all numbers of parts are from 1."""

from typing import TypedDict

from groundup.lab.values import CaptionedTokens, Rows, TokenPiece

# The least share of an edge's weight that the prediction loses without it.
CONFIRMED = 0.5


class TopText(TypedDict):
    """A place where something is most active, with the tokens around it."""

    pieces: list[TokenPiece]
    activations: list[float]
    """Of each piece."""
    peak: int
    """The index of the piece that it is the place of."""


class PartEffects(TypedDict):
    """What parts contribute directly, and by how much the score falls without each, in logits."""

    direct: Rows
    """[blocks, parts of a block]"""
    zero: Rows
    """Replaced by zeros."""
    mean: Rows
    """Replaced by its mean over the text."""


class NeuronContribution(TypedDict):
    block: int
    neuron: int
    activation: float
    """At the last token."""
    direct: float
    zero: float
    mean: float
    texts: list[TopText]
    """Where it is most active, with the sign that it has here; empty: there are no texts."""


class Contributions(CaptionedTokens):
    decision: str
    against: str
    """"": the mean of all tokens."""
    probability: float
    score: float
    """As the model computes it."""
    sum: float
    """Of the direct contributions: embedding, biases, all heads, all feed-forward networks."""
    embedding: float
    biases: float
    heads: PartEffects
    feedforward: PartEffects
    """One part a block."""
    neurons: list[NeuronContribution]
    """Those with the largest direct contributions."""
    neurons_in_all: int
    """0: the feed-forward networks are mixtures of experts, whose neurons are not told apart."""


class FeatureValues(TypedDict):
    """A feature of a transcoder."""

    number: int
    """From 1."""
    name: str
    """The token at which it is mostly largest."""
    share: float
    """Of the tokens that have it."""
    mean: float
    """Of its activation over all tokens, those without it included."""
    writes: float
    """Share of all that the features write (squared)."""
    texts: list[TopText]
    raises: list[str]
    """The tokens whose logits its direction raises most."""


class FeatureList(TypedDict):
    block: int
    tokens: int
    """Of the texts that were looked through."""
    features: list[FeatureValues]
    """Those that were active, by what they write."""


class GraphNode(TypedDict):
    kind: str
    """token, head, network or feature"""
    block: int
    """0 of a token."""
    number: int
    """Of a head or feature; else 0."""
    token: int
    """Of the text, from 1."""
    name: str
    effect: float
    """On the log-probability, in nats (Aumann-Shapley value among all parts)."""


class GraphEdge(TypedDict):
    source: int
    """An index of the nodes."""
    target: int | None
    """None: the prediction."""
    weight: float
    """Nats."""
    cut: float | None
    """What the prediction loses where this edge alone is cut, in nats; None: it was not tried."""


def is_confirmed(edge: GraphEdge) -> bool:
    """Whether an edge was cut, and that took at least CONFIRMED of its weight from the prediction."""
    cut, weight = edge["cut"], edge["weight"]
    return cut is not None and cut * weight >= CONFIRMED * weight**2 > 0


class CircuitGraph(CaptionedTokens):
    decision: str
    probability: float
    full: float
    """Log-probability of the decision, in nats: of the whole model."""
    ablated: float
    """With all parts at their means."""
    kept: float
    """With the parts of the graph alone; all others at their means."""
    removed: float
    """With the parts of the graph at their means, and all others as they are."""
    faithfulness: float
    """(kept - ablated) / (full - ablated)"""
    left: float
    """(removed - ablated) / (full - ablated)"""
    chance: float
    """Faithfulness of as many parts drawn at random, in the mean."""
    explained: bool
    why: str
    """Why not; "" where it is explained."""
    parts: int
    """Of which the graph could have been made."""
    errors: float
    """Effect of what the features leave unexplained, which is never part of a graph."""
    nodes: list[GraphNode]
    edges: list[GraphEdge]


class FaithfulnessSummary(TypedDict):
    """Of held-out passages."""

    texts: int
    tokens: int
    explained: int
    little: int
    """That the model predicts nearly as much with every part at its mean; not explained."""
    faithfulness: list[float]
    """Of all others, sorted."""
    left: list[float]
    chance: list[float]
    nodes: list[int]
    """Of those that are explained."""
