"""The values of every view, as they are written as JSON and read by the drawings, the page and
notebooks. Layer 0 is the input of block 1, all else is counted from 1. `caption` says how a view
was computed
"""

from typing import Any, NotRequired, TypedDict

Rows = list[list[float]]


class TokenPiece(TypedDict):
    id: int
    text: str


class TokenPicture(TypedDict):
    text: str
    pieces: list[TokenPiece]


class Captioned(TypedDict):
    caption: str


class CaptionedTokens(TokenPicture, Captioned):
    pass


class TokenizerReport(TypedDict):
    vocab_size: int
    characters_per_token: float | None
    """On held-out text."""
    examples: list[TokenPicture]
    merges_first: list[str]
    longest: list[str]


class HeadNumber(TypedDict):
    block: int
    head: int


class HeadMap(HeadNumber):
    weights: Rows
    """[T queries, T keys]"""


class PatternMap(HeadMap):
    kind: str
    score: float
    """Share of the head's attention that follows the pattern."""


class AttentionRecord(TokenPicture):
    heads_in_all: int
    heads: list[PatternMap]


class AttentionPicture(CaptionedTokens):
    heads_in_all: int
    heads: list[HeadMap]


class TokenAttention(Captioned):
    pieces: list[TokenPiece]
    token: int
    blocks: list[int]
    shares: Rows
    """[blocks, tokens up to `token`]: mean over the heads of a block."""


class HeadReach(HeadNumber):
    distance_tokens: float
    distance_beyond_first_tokens: float
    entropy_bits: float
    first_share: float


class HeadDistances(Captioned):
    tokens: int
    heads: list[HeadReach]
    uniform: dict[str, float]
    """The same measures of uniform attention."""


class HeadScores(HeadNumber):
    scores: dict[str, float]
    """By pattern."""
    named: str | None
    """The pattern that has more than half of the attention."""


class BestHead(HeadNumber):
    score: float


class PatternSearch(TypedDict):
    kind: str
    chance: float
    best: list[BestHead]


class HalfLosses(TypedDict):
    """Nats per token."""

    first_half: float
    second_half: float


class HeadSearch(Captioned):
    heads: list[HeadScores]
    kinds: list[PatternSearch]
    loss: HalfLosses | None
    sequences: int


class StepTable(TypedDict):
    name: str
    done: str
    """The operation."""
    table: list[list[float | None]]
    """[T, T]; None: masked."""


class HeadSteps(CaptionedTokens, HeadNumber):
    head_width: int
    kv_head: int
    queries: Rows
    keys: Rows
    values: Rows
    steps: list[StepTable]
    mixed: Rows
    """The weights times the values, [T, D] as the three above."""


class HeadChange(HeadNumber):
    change: float
    error: float


class AblationTable(Captioned):
    """Changes of the loss in nats per token, with standard errors."""

    text: str
    num_tokens: int
    loss: float
    fill: str
    heads: Rows
    """[blocks, heads]"""
    heads_error: Rows
    blocks: list[float]
    blocks_error: list[float]
    most: list[HeadChange]


class ExpectedPiece(TokenPiece):
    probability: float


class CleanAndCorrupted(TypedDict):
    clean: float
    corrupted: float


class TracedSite(TypedDict):
    """What putting each activation of the clean run into the corrupted one does."""

    site: str
    first: int
    """The number of the first row: 0, the layer before block 1, or block 1."""
    restored: Rows
    """[layers, tokens], of heads [blocks, heads]: share of the difference of the two texts."""
    probability: Rows
    """Of the answer, in the same places."""


class CausalTrace(Captioned):
    """The pieces of both texts are those that have a partner."""

    text: str
    corrupted: str
    answer: TokenPiece
    wrong: TokenPiece
    difference: CleanAndCorrupted
    """Logit of the answer minus that of the wrong one."""
    probability: CleanAndCorrupted
    pieces: list[TokenPiece]
    corrupted_pieces: list[TokenPiece]
    sites: list[TracedSite]


class SteeredText(TypedDict):
    strength: float
    next: list[ExpectedPiece]
    kl_bits: float
    """Of this prediction from the unsteered one (Kullback-Leibler divergence)."""
    continuation: str


class SteeringPicture(Captioned):
    text: str
    layer: int
    length: float
    """Of what strength 1 adds: the median length of the text's stream vectors at the layer."""
    strengths: list[SteeredText]


class AttributedPiece(TokenPiece):
    contribution: float
    without: float | None
    """Loss of score without the token."""


class Attribution(Captioned):
    text: str
    decision: str
    against: str
    probability: float
    score: float
    """Logit of the decision minus that of the alternative."""
    sum: float
    """Of the contributions."""
    agreement: float | None
    """Rank correlation of contributions and losses."""
    pieces: list[AttributedPiece]


ContextPoint = TypedDict(
    "ContextPoint",
    # Numbers of context tokens `from` to `to`; loss and standard error in nats per token.
    {"from": int, "to": int, "loss": float, "error": float | None, "predictions": int},
)


class ContextLosses(Captioned):
    points: list[ContextPoint]
    windows: int
    window_tokens: int
    mean: float


class SentenceLoss(TypedDict):
    text: str
    tokens: int
    alone: float
    after: float


class SentenceLosses(Captioned):
    alone: float
    after: float
    gain: float
    error: float | None
    sentences: list[SentenceLoss]


class SimilarityTable(Captioned):
    words: list[str]
    groups: list[str]
    layer: int
    values: Rows
    """[words, words]: cosines."""
    within: float | None
    between: float | None


class MapPoint(TypedDict):
    id: NotRequired[int]
    text: str
    group: NotRequired[str]
    x: float
    y: float


class EmbeddingMap(Captioned):
    points: list[MapPoint]
    method: str
    explained: float | None
    """Share of the variance; None: UMAP."""
    layer: NotRequired[int]


class WordNeighbour(TokenPiece):
    cosine: float


class WordNeighbours(Captioned):
    word: str
    pieces: list[TokenPiece]
    neighbours: list[WordNeighbour]


class CategoryScore(TypedDict):
    words: int
    judged: int
    """Neighbours counted."""
    share: float | None
    """Of them in the same category; None: too few words."""
    chance: float | None


class CategoryScores(TypedDict):
    kinds: dict[str, CategoryScore]
    share: float | None
    chance: float | None


class KindScore(Captioned):
    vocabulary: CategoryScores
    listed: CategoryScores


class PositionCurve(TypedDict):
    label: str
    values: list[float]
    """By distance: 0, 1, ..."""


class PositionPicture(Captioned):
    scheme: str
    table: Rows
    """[tokens, components]"""
    table_axis: str
    table_value: str
    curves: list[PositionCurve]
    value: str
    """The unit of the curves."""


class LensCell(TokenPiece):
    """A prediction, and rank and bits of the actual next token (None after the last one)."""

    probability: float
    rank: int | None
    bits: float | None


class LensLayer(TypedDict):
    layer: int
    bits_per_token: float
    right: float
    cells: list[LensCell]


class LensPicture(CaptionedTokens):
    layers: list[LensLayer]


class SurprisingPiece(TokenPiece):
    entropy_bits: float
    expected: list[ExpectedPiece]
    bits: float
    rank: int


class WordBits(TypedDict):
    text: str
    bits: float
    tokens: int


class SurprisePicture(Captioned):
    text: str
    tokens: list[SurprisingPiece]
    words: list[WordBits]
    next: list[ExpectedPiece]
    bits_per_token: float
    bits_per_word: float | None
    entropy_bits_per_token: float


class FilmHead(HeadNumber):
    kind: str


class FilmFrame(TypedDict):
    step: int
    training_loss: float | None


class AttentionFrame(FilmFrame):
    scores: list[float]
    weights: list[Rows]
    """Of each head of the film."""


class AttentionFilm(CaptionedTokens):
    heads: list[FilmHead]
    frames: list[AttentionFrame]


class FilmToken(TokenPiece):
    group: str


class EmbeddingsFrame(FilmFrame):
    apart: float
    """Share of the variance that is between the groups."""
    places: Rows
    """[tokens, 2]"""


class EmbeddingsFilm(Captioned):
    tokens: list[FilmToken]
    explained: float
    frames: list[EmbeddingsFrame]


class ModelFacts(TypedDict):
    name: str
    build: str
    stage: str
    kind: str
    blocks: int
    heads: int
    width: int
    vocabulary: int
    context_tokens: int


class ModelViews(TypedDict):
    """Everything that the page shows."""

    model: ModelFacts
    text: str
    views: dict[str, Any]
    """The values of each view, by its name."""
    left_out: dict[str, str]
    """View: the reason."""
