"""Parity of generated text: llama.cpp's answers and greedy continuations, each scored by one forward pass of ours."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from groundup.evaluate.llamacpp import Generated, LlamaServer
from groundup.evaluate.parity_sides import FAR_SHARE, Check, Sides, Tolerance, short
from groundup.evaluate.parity_text import rendered
from groundup.evaluate.parity_texts import QUESTIONS
from groundup.progress import Advance
from groundup.tokenizer.chat import Conversation, Message, Rendered

NEW_TOKENS = 48
ANSWER_TOKENS = 64


@dataclass(frozen=True)
class Comparison:
    """llama.cpp's text after one prompt, scored by our model."""

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


def compare(sides: Sides, prompt: str, prompt_ids: Sequence[int], theirs: Generated) -> Comparison:
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


def check_answers(sides: Sides, llama: LlamaServer, advance: Advance) -> Check:
    """Check that short answers through llama.cpp's chat route end where ours would."""
    stopped = answers = 0
    longest_prompt, max_tokens = sides.room(ANSWER_TOKENS)
    for question in QUESTIONS:
        conversation = Conversation((Message("user", question),))
        ours = rendered(sides, conversation)
        if ours is None or len(ours.ids) > longest_prompt:
            continue
        theirs = llama.answer_greedily(conversation, max_tokens=max_tokens)
        advance(1)
        answers += 1
        stopped += theirs.ended
        difference = _answer_difference(sides, question, ours, theirs)
        if difference:
            return Check("answers", False, difference, {"answers": answers, "stopped": stopped})
    figures: dict[str, float] = {"answers": answers, "stopped": stopped}
    if not answers:
        return Check("answers", True, "not made: this model has no chat template, or too short a context", figures)
    detail = f"{answers} answers end where ours end: {stopped} stopped, {answers - stopped} reached the limit of {max_tokens} tokens"
    return Check("answers", True, detail, figures)


def _answer_difference(sides: Sides, question: str, ours: Rendered, theirs: Generated) -> str:
    if not theirs.ids:
        return f"{question!r}: llama.cpp gave no token"
    compared = compare(sides, question, ours.ids, theirs)
    far = next((place for place, gap, _ in compared.positions if gap > sides.tolerance.worst), None)
    if far is not None:
        return _describe_position(sides, compared, far)
    if theirs.ended != (theirs.ids[-1] in sides.tokenizer.special.stop_ids):
        how = "stopped" if theirs.ended else "went on"
        return f"{question!r}: llama.cpp {how} after {sides.show(theirs.ids[-1:])}, ours would not have"
    return ""


def check_greedy(sides: Sides, llama: LlamaServer, prompts: Sequence[str], advance: Advance) -> Check:
    """Check that llama.cpp's greedy continuation of each prompt is ours, up to the encoding's tolerance."""
    longest_prompt, max_tokens = sides.room(NEW_TOKENS)
    compared = []
    for prompt in prompts:
        encoded = sides.tokenizer.with_bos(sides.tokenizer.encode(prompt))
        ids = encoded[:longest_prompt] or [sides.tokenizer.special.document_end_id]
        compared.append(compare(sides, prompt, ids, llama.continue_greedily(ids, max_tokens=max_tokens)))
        advance(1)
    figures = greedy_figures(compared, sides.tolerance)
    fault = greedy_fault(sides, compared, figures)
    detail = f"{figures['tokens']:.0f} tokens, {figures['not_best']:.0f} not our argmax; median difference {figures['median']:.4f}"
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
        "median": statistics.median(differences) if differences else 0.0,
        "largest": max(differences, default=0.0),
    }


def greedy_fault(sides: Sides, compared: Sequence[Comparison], figures: dict[str, float]) -> str:
    """Return the first fault, or ""."""
    tolerance = sides.tolerance
    for each in compared:
        for place, gap, difference in each.positions:
            if gap > tolerance.worst or (tolerance.largest is not None and difference > tolerance.largest):
                return _describe_position(sides, each, place)
    if figures["beyond_near"] > FAR_SHARE * figures["tokens"]:
        share = f"{figures['beyond_near']:.0f} of {figures['tokens']:.0f} tokens"
        return f"{share} are more than {tolerance.near} logits below our maximum; at most 1 in 100 may be"
    if figures["median"] > tolerance.median:
        return f"the median difference of log-probabilities is {figures['median']:.3f}, at most {tolerance.median} is expected"
    return ""


def _describe_position(sides: Sides, compared: Comparison, place: int) -> str:
    largest = max(compared.differences[place], default=0.0)
    return (
        f"after {short(compared.prompt)}, token {place}: llama.cpp {sides.show(compared.ids[place : place + 1])}, "
        f"ours {sides.show(compared.best[place : place + 1])}, {compared.logit_gaps[place]:.3f} logits apart; "
        f"log-probabilities differ by up to {largest:.3f}"
    )
