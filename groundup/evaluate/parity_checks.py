"""The checks of the parity gate: of text (ids, stop tokens, rendered conversations), and of
llama.cpp's answers and greedy continuations.

Generated text is scored by one forward pass of our model, and compared within the tolerances of its
quantization.
"""

import statistics
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.evaluate.llamacpp import Generated, LlamaServer
from groundup.evaluate.parity_texts import CONVERSATIONS, HARD_STRINGS, QUESTIONS
from groundup.model.heads import LanguageModel
from groundup.progress import Advance
from groundup.tokenizer.chat import Conversation, Message, Rendered, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.gguf_architectures import as_llamacpp_runs

# The context of llama.cpp; prompts of the gate are not longer.
CONTEXT_TOKENS = 1024
# The share of tokens that may lie beyond `Tolerance.near`.
FAR_SHARE = 0.01
# The median over fewer tokens is that of one or two short answers: 0.19 of q8_0 where 119 further
# tokens of the same file had 0.07. A fault is off by several logits.
FEW_TOKENS, FEW_FACTOR = 48, 3.0


@dataclass(frozen=True)
class Tolerance:
    """In logits or natural log-probabilities, for files of one quantization."""

    near: float
    """99 in 100 of llama.cpp's tokens are at most this far below our argmax at their position."""
    worst: float
    """All of them are at most this far below it."""
    median: float
    """Bound of the median difference of log-probabilities, over the 5 most probable tokens of every
    position.
    """
    largest: float | None
    """Bound of the largest such difference; None: unbounded, as quantised files have outliers."""


# Measured: SmolLM2-135M, 60 prompts, about 2,600 tokens a file, a real llama.cpp against our
# float32 model.
#
#          not our argmax largest gap                median   largest
#   f32    1              0.002                      0.001    0.05  (keys and values in 16 bits)
#   f16    2              0.001                      0.002    0.05
#   bf16   10             0.09                       0.013    0.5
#   q8_0   91             0.63, the next 0.26        0.07     1.0
#   q4_0   587            7.1                        0.6      15
#
# So "always our argmax" would refuse correct files at positions where our two best tokens are 0.001
# apart. The faults to detect (a wrong tokenizer, keys in the wrong order, a lost scale) are off by
# several logits, in the median too.
TOLERANCES: dict[str, Tolerance] = {
    "f32": Tolerance(near=0.05, worst=0.05, median=0.01, largest=0.1),
    "f16": Tolerance(near=0.05, worst=0.05, median=0.02, largest=0.1),
    "bf16": Tolerance(near=0.1, worst=0.3, median=0.05, largest=None),
    "q8_0": Tolerance(near=0.6, worst=2.0, median=0.15, largest=None),
    "q4_0": Tolerance(near=6.0, worst=15.0, median=1.2, largest=None),
}


@dataclass(frozen=True)
class Check:
    name: str
    passed: bool
    detail: str
    """One sentence: what is equal, or the first difference with string, position and both sides."""
    figures: Mapping[str, float]


@dataclass(frozen=True)
class ParitySides:
    model: LanguageModel
    tokenizer: Tokenizer
    llama: LlamaServer
    tolerance: Tolerance
    advance: Advance
    """Called with the number of texts that were generated."""
    user_lines: Sequence[str] = ()
    prompts: Sequence[str] = ()

    def logits(self, ids: Sequence[int], last: int) -> Tensor:
        """Those that predict the `last` last ids: float32 [last, V], by one forward pass."""
        device = self.model.transformer.embedding.weight.device
        with torch.inference_mode():
            hidden = self.model.hidden(torch.tensor([ids], device=device))
            return self.model.logits(hidden[0, len(ids) - last - 1 : len(ids) - 1]).float().cpu()

    def room(self, new_tokens: int) -> tuple[int, int]:
        """Return the longest prompt, and text after it, in a context that may be short."""
        context = min(CONTEXT_TOKENS, as_llamacpp_runs(self.model.config).context_tokens)
        max_new = min(new_tokens, context // 2)
        return context - max_new, max_new

    def difference(self, ours: Sequence[int], theirs: Sequence[int]) -> str:
        """Return where two lists of ids differ, as part of a sentence."""
        place = first_difference(ours, theirs)
        sides = f"ours {self.show(ours[place:])}; llama.cpp {self.show(theirs[place:])}"
        return f"differs from token {place} on: {sides}"

    def show(self, ids: Sequence[int]) -> str:
        """Return ids with their texts, as part of a sentence."""
        listed = [f"{token} {self.tokenizer.decode([token])!r}" for token in ids[:4]]
        return ", ".join(listed) or "nothing"


def first_difference(ours: Sequence[object] | str, theirs: Sequence[object] | str) -> int:
    """Return the first position at which two sequences differ.

    >>> first_difference("abc", "abd")
    2
    """
    return next(
        (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b),
        min(len(ours), len(theirs)),
    )


def short(text: str) -> str:
    """Return a text in quotes, shortened if it is long."""
    if len(text) <= 60:
        return repr(text)
    return f"{text[:60]!r}... ({len(text):,} characters)"


def check_tokens(sides: ParitySides) -> Check:
    """Hard strings and the user's lines have the same ids on both sides, and one prompt including
    bos.
    """
    hard = [text for texts in HARD_STRINGS.values() for text in texts]
    lines = [line for line in sides.user_lines if is_comparable(line)]
    figures: dict[str, float] = {
        "strings": len(hard),
        "user_lines": len(lines),
        "user_lines_left_out": len(sides.user_lines) - len(lines),
    }
    pairs = [
        (text, sides.tokenizer.encode(text), sides.llama.encode(text)) for text in [*hard, *lines]
    ]
    differing = [pair for pair in pairs if pair[1] != pair[2]]
    figures["differing"] = len(differing)
    for text, ours, theirs in differing[:1]:
        detail = f"{short(text)} {sides.difference(ours, theirs)}"
        return Check("tokens", False, detail, figures)
    ours = sides.tokenizer.with_bos(sides.tokenizer.encode("Hello"))
    theirs = sides.llama.encode("Hello", add_bos=True)
    if ours != theirs:
        detail = f"the prompt 'Hello' {sides.difference(ours, theirs)}"
        return Check("tokens", False, detail, figures)
    return Check("tokens", True, f"{len(pairs)} strings have the same ids", figures)


def is_comparable(text: str) -> bool:
    """Not with characters newer than Python's Unicode tables, or the known exception."""
    return "'\u017f" not in text and not any(
        unicodedata.category(character) == "Cn" for character in text
    )


def check_stops(sides: ParitySides) -> Check:
    """A generation ends at each of our stop ids, not at an ordinary token; the eos token is the
    same.
    """
    special = sides.tokenizer.special
    prompt_ids, stop_ids = (
        sides.tokenizer.with_bos(sides.tokenizer.encode("Hello")),
        special.stop_ids,
    )
    ignored = [each for each in sorted(stop_ids) if not sides.llama.ends_after(each, prompt_ids)]
    ours, theirs = sides.tokenizer.decode([special.eos_id]), sides.llama.eos_text()
    fault = ""
    if ignored:
        fault = f"llama.cpp continues after our stop token {sides.show(ignored)}"
    elif sides.llama.ends_after(prompt_ids[-1], prompt_ids):
        fault = f"llama.cpp ends at the ordinary token {sides.show(prompt_ids[-1:])}"
    elif ours != theirs:
        fault = f"the eos token is {ours!r} here and {theirs!r} in llama.cpp"
    stops = sides.show(sorted(stop_ids))
    detail = f"llama.cpp ends a generation at {stops}; eos is {ours!r} on both sides"
    figures: dict[str, float] = {"stop_ids": len(stop_ids), "going_on": len(ignored)}
    return Check("stops", not fault, fault or detail, figures)


def check_template(sides: ParitySides) -> Check:
    """Conversations of every kind render to the same text and ids."""
    ours = {name: render_ours(sides, conversation) for name, conversation in CONVERSATIONS.items()}
    accepted = {name: each for name, each in ours.items() if each is not None}
    figures: dict[str, float] = {
        "conversations": len(accepted),
        "refused": len(ours) - len(accepted),
    }
    for name, each in accepted.items():
        difference = _template_difference(sides, each, sides.llama.render(CONVERSATIONS[name]))
        if difference:
            return Check("template", False, f"{name}: {difference}", figures)
    if not accepted:
        return Check("template", True, "not made: this model has no chat template", figures)
    refused = (
        f"; the template refuses {', '.join(ours.keys() - accepted.keys())}"
        if len(accepted) < len(ours)
        else ""
    )
    return Check(
        "template",
        True,
        f"{len(accepted)} conversations have the same text and ids{refused}",
        figures,
    )


def render_ours(sides: ParitySides, conversation: Conversation) -> Rendered | None:
    """None: the template refuses the conversation."""
    try:
        return render(conversation, sides.tokenizer, add_generation_prompt=True)
    except ModelError:
        return None


def _template_difference(sides: ParitySides, ours: Rendered, theirs: str) -> str:
    text = ours.text
    special = sides.tokenizer.special
    if special.adds_bos and special.bos_id is not None:
        # llama.cpp adds the bos token to every prompt itself, and therefore removes it from the
        # rendered text.
        text, theirs = (
            each.removeprefix(sides.tokenizer.decode([special.bos_id])) for each in (text, theirs)
        )
    if text != theirs:
        place = first_difference(text, theirs)
        texts = f"ours {text[place : place + 40]!r}; llama.cpp {theirs[place : place + 40]!r}"
        return f"differs from character {place} on: {texts}"
    ids = sides.llama.encode(theirs, control=True, add_bos=True)
    if ids == ours.ids:
        return ""
    return sides.difference(ours.ids, ids)


NEW_TOKENS = 48
ANSWER_TOKENS = 64


@dataclass(frozen=True)
class Comparison:
    prompt: str
    ids: tuple[int, ...]
    logit_gaps: tuple[float, ...]
    """For each token: how far our logit of it is below our maximum."""
    best: tuple[int, ...]
    """For each position: our argmax."""
    differences: tuple[tuple[float, ...], ...]
    """For each position: |ours - llama.cpp's| log-probability of its 5 most probable tokens."""

    @property
    def positions(self) -> Iterator[tuple[int, float, float]]:
        """Position, logit gap, largest difference of log-probabilities."""
        largest = (max(each, default=0.0) for each in self.differences)
        return zip(range(len(self.ids)), self.logit_gaps, largest, strict=True)


def compare(
    sides: ParitySides, prompt: str, prompt_ids: Sequence[int], theirs: Generated
) -> Comparison:
    """Score llama.cpp's text by one forward pass of our model."""
    logits = sides.logits([*prompt_ids, *theirs.ids], len(theirs.ids))  # [T, V]
    chosen = logits.gather(1, torch.tensor(theirs.ids, dtype=torch.long)[:, None])[:, 0]
    logprobs = logits.log_softmax(dim=-1)
    differences = tuple(
        tuple(abs(float(ours[token]) - logprob) for token, logprob in top.items())
        for ours, top in zip(logprobs, theirs.top, strict=True)
    )
    gaps = tuple((logits.amax(dim=1) - chosen).tolist())
    return Comparison(prompt, theirs.ids, gaps, tuple(logits.argmax(dim=1).tolist()), differences)


def check_answers(sides: ParitySides) -> Check:
    """Short answers through the chat route end where ours would."""
    stopped = answers = 0
    longest_prompt, max_tokens = sides.room(ANSWER_TOKENS)
    for question in QUESTIONS:
        conversation = Conversation((Message("user", question),))
        ours = render_ours(sides, conversation)
        if ours is None or len(ours.ids) > longest_prompt:
            continue
        theirs = sides.llama.answer_greedily(conversation, max_tokens=max_tokens)
        sides.advance(1)
        answers += 1
        stopped += theirs.ended
        difference = _answer_difference(sides, question, ours, theirs)
        if difference:
            return Check("answers", False, difference, {"answers": answers, "stopped": stopped})
    detail = "not made: this model has no chat template, or too short a context"
    if answers:
        detail = (
            f"{answers} answers end where ours end: {stopped} stopped, {answers - stopped} reached "
            f"the limit of {max_tokens} tokens"
        )
    return Check("answers", True, detail, {"answers": answers, "stopped": stopped})


def _answer_difference(sides: ParitySides, question: str, ours: Rendered, theirs: Generated) -> str:
    if not theirs.ids:
        return f"{question!r}: llama.cpp gave no token"
    compared = compare(sides, question, ours.ids, theirs)
    far = next((place for place, gap, _ in compared.positions if gap > sides.tolerance.worst), None)
    if far is not None:
        return _describe_position(sides, compared, far)
    if theirs.ended != (theirs.ids[-1] in sides.tokenizer.special.stop_ids):
        how = "went on"
        if theirs.ended:
            how = "stopped"
        last = sides.show(theirs.ids[-1:])
        return f"{question!r}: llama.cpp {how} after {last}, ours would not have"
    return ""


def check_greedy(sides: ParitySides) -> Check:
    """The greedy continuation of each prompt is ours, up to the quantization's tolerance."""
    longest_prompt, max_tokens = sides.room(NEW_TOKENS)
    compared = []
    for prompt in sides.prompts:
        encoded = sides.tokenizer.with_bos(sides.tokenizer.encode(prompt))
        ids = encoded[:longest_prompt] or [sides.tokenizer.special.document_end_id]
        theirs = sides.llama.continue_greedily(ids, max_tokens=max_tokens)
        compared.append(compare(sides, prompt, ids, theirs))
        sides.advance(1)
    figures = greedy_figures(compared, sides.tolerance)
    fault = greedy_fault(sides, compared, figures)
    detail = (
        f"{figures['tokens']:.0f} tokens, {figures['not_best']:.0f} not our argmax; "
        f"median difference {figures['median']:.4f}"
    )
    return Check("greedy", not fault, fault or detail, figures)


def greedy_figures(compared: Sequence[Comparison], tolerance: Tolerance) -> dict[str, float]:
    """Return the figures that the greedy check tests."""
    gaps = [value for each in compared for value in each.logit_gaps]
    differences = [value for each in compared for place in each.differences for value in place]
    return {
        "prompts": len(compared),
        "tokens": len(gaps),
        "not_best": sum(value > 0 for value in gaps),
        "beyond_near": sum(value > tolerance.near for value in gaps),
        "worst_behind": max(gaps, default=0.0),
        "median": statistics.median(differences or [0.0]),
        "largest": max(differences, default=0.0),
    }


def greedy_fault(
    sides: ParitySides, compared: Sequence[Comparison], figures: dict[str, float]
) -> str:
    """Return the first fault, or ""."""
    tolerance = sides.tolerance
    for each in compared:
        for place, gap, difference in each.positions:
            if gap > tolerance.worst or (
                tolerance.largest is not None and difference > tolerance.largest
            ):
                return _describe_position(sides, each, place)
    if figures["beyond_near"] > FAR_SHARE * figures["tokens"]:
        share = f"{figures['beyond_near']:.0f} of {figures['tokens']:.0f} tokens"
        below = f"more than {tolerance.near} logits below our maximum"
        return f"{share} are {below}; at most 1 in 100 may be"
    most, median = tolerance.median, figures["median"]
    if figures["tokens"] < FEW_TOKENS:
        most *= FEW_FACTOR
    if median > most:
        what = f"the median difference of log-probabilities is {median:.3f}"
        return f"{what}, at most {most:.2g} is expected"
    return ""


def _describe_position(sides: ParitySides, compared: Comparison, place: int) -> str:
    largest = max(compared.differences[place], default=0.0)
    theirs, ours = (sides.show([ids[place]]) for ids in (compared.ids, compared.best))
    return (
        f"after {short(compared.prompt)}, token {place}: llama.cpp {theirs}, ours {ours}, "
        f"{compared.logit_gaps[place]:.3f} logits apart; log-probabilities differ by up to "
        f"{largest:.3f}"
    )


CHECKS: dict[str, Callable[[ParitySides], Check]] = {
    "tokens": check_tokens,
    "stops": check_stops,
    "template": check_template,
    "answers": check_answers,
    "greedy": check_greedy,
}
