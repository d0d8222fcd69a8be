"""The words of the page's picture from text to next token: its steps, each with the question that
it answers, at three levels (words, numbers, mathematics).

Whatever depends on the kind of model (positions, norms, shared heads, activation) is chosen from
its config.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class ExplainedStep(NamedTuple):
    key: str
    name: str
    """In the list of stages."""
    question: str
    words: Sequence[str]
    """Paragraphs of what happens, in words only."""
    numbers: Sequence[str]
    formulas: Sequence[str]
    """Typeset by `explain.js`: `_` and `^` with a letter or braces."""


def explained_steps(config: Mapping[str, Any]) -> list[list[ExplainedStep]]:
    """Those before the blocks, of a block before its heads, of a head, of a block after its heads,
    and after the blocks; `config` is that of `live_config`.
    """
    return [
        [_tokens(config), _embedding(config), _positions(config)],
        [_norm(config)],
        [_query_key_value(config), _scores(config), _mask(config), _mix(config)],
        [_heads(config), _added(config), _feedforward(config)],
        [_layers(config), _logits(config), _choice(config)],
    ]


def _tokens(config: Mapping[str, Any]) -> ExplainedStep:
    return ExplainedStep(
        "tokens",
        "Tokens",
        "What does the model read?",
        [
            "Not letters. A tokenizer cuts the text into tokens: a common word is one token, a "
            "rare one is cut into pieces. The dot · stands for a space. Choose a token here to "
            "follow it through all steps."
        ],
        [
            f"Each token has a number, its id: its place in a list of {config['vocab_size']:,} "
            "tokens. The id says nothing about what the token means."
        ],
        [f"text → id_1, id_2, …, id_T    with 0 ≤ id < V = {config['vocab_size']:,}"],
    )


def _embedding(config: Mapping[str, Any]) -> ExplainedStep:
    width = config["width"]
    formulas = [f"e = E_{{id}}    the row id of the table E, V × C, with C = {width}"]
    if config["scaled_embedding"]:
        formulas[0] = f"e = √C · E_{{id}}    from the table E, V × C, with C = {width}"
    return ExplainedStep(
        "embedding",
        "Embedding",
        "What is a vector embedding?",
        [
            f"A vector is a list of numbers. The model has a list of {width} numbers for each "
            "token, its embedding. Training has set these numbers so that tokens which are used "
            "alike have lists that are alike.",
            "Each square is one number: blue above zero, orange below, and the stronger the "
            "colour, the farther from zero.",
        ],
        [
            "How alike two lists are is measured by the cosine of the angle between them: 1 for "
            "the same direction, 0 for nothing in common, −1 for the opposite."
        ],
        [*formulas, "cos(a, b) = a · b / (|a| |b|)"],
    )


def _positions(config: Mapping[str, Any]) -> ExplainedStep:
    words, numbers, formulas = POSITIONS.get(config["positions"], POSITIONS["none"])
    if config["embedding_norm"]:
        words = [*words, "Then the list is brought to one size."]
    order = (
        "Without help, a model could not tell “dog bites man” from “man bites dog”: the tokens are "
        "the same. So it must learn where each token stands: its place, or position."
    )
    return ExplainedStep(
        "positions",
        "Position",
        "What is positional encoding?",
        [order, *words],
        numbers,
        formulas,
    )


POSITIONS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "rope": (
        [
            "This model turns arrows. It takes a list two numbers at a time and draws each pair as "
            "an arrow. The later the token stands, the farther each arrow is turned; some pairs "
            "turn fast and some slowly, like the hands of a clock. Between two tokens only the "
            "difference of their turns counts: how far apart they are.",
            "What is turned are the query and the key, two lists that step 5 explains. The arrows "
            "are this token's query in the chosen head, before and after the turn.",
        ],
        ["The angle is the token's place, counted from 0, times the speed of the pair."],
        [
            "a′ = a cos(p θ) − b sin(p θ),    b′ = b cos(p θ) + a sin(p θ)",
            "θ_i = base^{−2i / D}    for pair i of a head of D numbers; p is the place",
        ],
    ),
    "learned": (
        [
            "This model has a second table, with a list for each place, which is added to the "
            "embedding."
        ],
        ["Number by number: the sum of the two lists is what enters the first block."],
        ["x = E_{id} + P_p    row p of the table P, for the place p"],
    ),
    "sinusoidal": (
        ["This model adds a list made of waves: each place has its own mixture of fast and slow."],
        ["Number by number: the sum of the two lists is what enters the first block."],
        ["x_{2i} = e_{2i} + sin(p θ_i),    x_{2i+1} = e_{2i+1} + cos(p θ_i)"],
    ),
    "alibi": (
        [
            "This model changes no list. It takes something off the score of each token that "
            "stands farther back, as step 6 shows: near tokens count for more."
        ],
        ["What is taken off is the distance times a slope, which each head has of its own."],
        ["score(p, s) = q_p · k_s / √D − m (p − s)    with the head's slope m"],
    ),
    "none": (
        ["This model gets no such help. It can only count how many tokens a token may look at."],
        [],
        ["x = E_{id}"],
    ),
}


def _norm(config: Mapping[str, Any]) -> ExplainedStep:
    if config["block"] in ("post", "output"):
        words = "The chosen block takes the list as it is; it evens out its results instead."
        return ExplainedStep("norm", "Normalise", "Why is a list evened out?", [words], [], [])
    formula = "n_i = x_i / √(mean(x²) + ε) · w_i"
    numbers = "Each number is divided by the root of the mean square of all, then weighted."
    if config["norm"] == "layer":
        formula = "n_i = (x_i − mean(x)) / √(var(x) + ε) · w_i + b_i"
        numbers = (
            "The mean is taken off each number, the rest is divided by the standard deviation, "
            "then weighted."
        )
    return ExplainedStep(
        "norm",
        "Normalise",
        "Why is a list evened out?",
        [
            "From block to block the numbers grow. A copy of the list is brought to one size, so "
            "that the next step meets numbers as it knows them. The list itself stays as it is."
        ],
        [numbers],
        [formula],
    )


def _query_key_value(config: Mapping[str, Any]) -> ExplainedStep:
    width, heads, stored = config["head_width"], config["num_heads"], config["num_kv_heads"]
    words = [
        f"A head makes three short lists of {width} numbers out of the token's long one. The query "
        "says what this token is looking for. The key says what a token has to offer. The value "
        "is what it hands over when it is found."
    ]
    if stored < heads:
        words.append(
            f"Here {heads // stored} heads share one key and one value, which saves memory; each "
            "has a query of its own."
        )
    numbers = ["Each number is the whole list times one row of a table, all products added up."]
    formulas = [
        f"q = W_Q n,   k = W_K n,   v = W_V n    with D = {width} numbers each, from C = "
        f"{config['width']}"
    ]
    if config["qk_norm"] != "none":
        numbers.append("Query and key are then evened out, so that no score runs away.")
        formulas.append("q ← RMSNorm(q),   k ← RMSNorm(k)")
    if config["positions"] == "rope":
        numbers.append("Query and key are then turned by the token's place (step 3).")
    return ExplainedStep(
        "qkv", "Q, K, V", "What are query, key and value?", words, numbers, formulas
    )


def _scores(config: Mapping[str, Any]) -> ExplainedStep:
    width = config["score_width"]
    formula = f"score(p, s) = q_p · k_s / √{width}"
    if config["score_softcap"]:
        cap = f"{config['score_softcap']:g}"
        formula = f"score(p, s) = {cap} · tanh(q_p · k_s / √{width} / {cap})"
    if config["positions"] == "alibi":
        formula += " − m (p − s)"
    return ExplainedStep(
        "scores",
        "Scores",
        "What is an attention score?",
        [
            "The head holds this token's query against the key of every token before it, and its "
            "own. Where query and key have the same colours in the same places, the score is high: "
            "this token has what I am looking for."
        ],
        [
            "Number times number, place by place, and all added up: that is a dot product. It is "
            f"divided by the root of {width}, so that longer lists don't give larger scores."
        ],
        [formula],
    )


def _mask(config: Mapping[str, Any]) -> ExplainedStep:
    words = [
        "A token may look at itself and back, never ahead: the token that comes next is what the "
        "model has to guess. The mask hides it, as the empty half of this picture shows.",
        "Then softmax turns the scores of each row into shares of attention. All shares of a row "
        "together make one whole; a score a little higher gets a share much larger. These shares "
        "are also called attention weights.",
    ]
    if any(config["windows"]):
        window = max(config["windows"])
        words.append(f"In some blocks of this model a token looks back {window} tokens at most.")
    return ExplainedStep(
        "mask",
        "Mask, softmax",
        "What is masked attention, and what does softmax do?",
        words,
        ["e to the power of each score, divided by the sum of all of these in the row."],
        ["a_s = e^{score(p, s)} / Σ_{j ≤ p} e^{score(p, j)}    and a_s = 0 for s > p"],
    )


def _mix(config: Mapping[str, Any]) -> ExplainedStep:
    return ExplainedStep(
        "mix",
        "Values",
        "What does a head find?",
        [
            "Each token hands over its value, as strongly as its share of attention says. All of "
            "them added up is what the head has found."
        ],
        ["Each value is multiplied by its share, and the products are added, place by place."],
        ["o_p = Σ_{s ≤ p} a_s v_s"],
    )


def _heads(config: Mapping[str, Any]) -> ExplainedStep:
    heads, width = config["num_heads"], config["head_width"]
    return ExplainedStep(
        "heads",
        "Heads",
        "What is multi-head attention, and where do the heads go?",
        [
            f"The block has {heads} heads. Each can look for something else: one at the token "
            "before, one at the start, one at a word of the same kind. Choose a head to see it.",
            "What the heads have found is put side by side in one list. One more table mixes it "
            f"into a list of {config['width']} numbers.",
        ],
        [f"{heads} heads of {width} numbers make a list of {heads * width}."],
        ["a = W_O [o_1; o_2; …; o_H]"],
    )


def _added(config: Mapping[str, Any]) -> ExplainedStep:
    formulas = {
        "post": "y = norm(x + a)",
        "output": "y = x + norm(a)",
        "sandwich": "y = x + norm(a)",
    }
    return ExplainedStep(
        "added",
        "Add",
        "What is the residual stream?",
        [
            "What attention has found does not replace the token's list: it is added to it. This "
            "running sum goes through the whole model and is called the residual stream. The line "
            "on the left of this page is this stream."
        ],
        ["Number by number: the list before, and what is added to it."],
        [formulas.get(config["block"], "y = x + a")],
    )


def _feedforward(config: Mapping[str, Any]) -> ExplainedStep:
    inner, width = config["feedforward_width"], config["width"]
    gated = config["feedforward"] != "gelu"
    name = "SiLU" if config["feedforward"] == "swiglu" else "GELU"
    formula = f"f = W_2 {name}(W_1 n)"
    numbers = f"Each of the {inner:,} numbers goes through {name}, which lets little below 0 pass."
    if gated:
        formula = f"f = W_2 ({name}(W_g n) ⊙ W_1 n)    ⊙: place by place"
        numbers = (
            f"Of each neuron there are two numbers. One goes through {name}, which lets little "
            "below 0 pass, and is the gate of the other: the two are multiplied."
        )
    return ExplainedStep(
        "feedforward",
        "Feed-forward",
        "What does the feed-forward network do?",
        [
            "Attention has carried something from token to token. Now each token's list is worked "
            "on alone. "
            f"{inner:,} neurons each look for one pattern in the list; those that find theirs "
            "answer strongly, above or below zero; most stay near it.",
            f"Their answers are mixed back into {width} numbers and added to the stream, as "
            "before.",
        ],
        [numbers],
        [formula, f"F = {inner:,} neurons"],
    )


def _layers(config: Mapping[str, Any]) -> ExplainedStep:
    count = config["num_layers"]
    return ExplainedStep(
        "layers",
        "All blocks",
        "How do layers stack?",
        [
            f"What leaves a block enters the next, {count} times. Each block has tables of its "
            "own, and can use what the ones before it have added.",
            "Beside each block stands what the model would guess if it ended there. Choose a block "
            "to see it.",
        ],
        [
            "The bars are the lengths of what attention and the feed-forward network of each block "
            "have added to the stream."
        ],
        [
            "guess after block l = softmax(U norm(x_l))    the logit lens, with the output head U",
            "|x| = √(x_1² + x_2² + … + x_C²)",
        ],
    )


def _logits(config: Mapping[str, Any]) -> ExplainedStep:
    size = config["vocab_size"]
    table = "The table is the embedding itself, used once more."
    if not config["tied_head"]:
        table = "The table is another one than the embedding."
    return ExplainedStep(
        "logits",
        "Output head",
        "How does a list become a guess?",
        [
            "The last list is held against a row for every token of the vocabulary. The more alike "
            "they are, the higher the token's result, its logit. This last table is called the "
            f"output head. {table}",
            "A model that sorts texts has another head at this place, with one row for each label.",
        ],
        [f"Each of the {size:,} logits is a dot product, like an attention score."],
        [f"z = U norm(x_L)    with V = {size:,} logits"],
    )


def _choice(config: Mapping[str, Any]) -> ExplainedStep:
    return ExplainedStep(
        "choice",
        "Sampling",
        "How is the next token chosen?",
        [
            "Softmax makes probabilities of the logits. One token is drawn by chance, the probable "
            "ones more often. It joins the text, and all of this begins again for the next one."
        ],
        [
            "A temperature below 1 makes the probable tokens more probable still. Top-k and top-p "
            "leave out the improbable ones before the draw."
        ],
        ["P(i) = e^{z_i / t} / Σ_j e^{z_j / t}    with the temperature t"],
    )
