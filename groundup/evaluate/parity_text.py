"""Parity of text: the same ids, the same stop tokens, the same rendered conversations."""

import unicodedata
from collections.abc import Sequence

from groundup.errors import ModelError
from groundup.evaluate.llamacpp import LlamaServer
from groundup.evaluate.parity_sides import Check, Sides, parting, short
from groundup.evaluate.parity_texts import CONVERSATIONS, HARD_STRINGS
from groundup.tokenizer.chat import Conversation, Rendered, render


def check_tokens(sides: Sides, llama: LlamaServer, user_lines: Sequence[str]) -> Check:
    """Hard strings and the user's lines have the same ids on both sides; one is also encoded as a whole prompt (bos)."""
    hard = [text for texts in HARD_STRINGS.values() for text in texts]
    lines = [line for line in user_lines if is_comparable(line)]
    figures: dict[str, float] = {
        "strings": len(hard),
        "user_lines": len(lines),
        "user_lines_left_out": len(user_lines) - len(lines),
    }
    differing = [text for text in [*hard, *lines] if sides.tokenizer.encode(text) != llama.encode(text)]
    figures["differing"] = len(differing)
    if differing:
        ours, theirs = sides.tokenizer.encode(differing[0]), llama.encode(differing[0])
        return Check("tokens", False, f"{short(differing[0])} {sides.difference(ours, theirs)}", figures)
    ours, theirs = sides.tokenizer.with_bos(sides.tokenizer.encode("Hello")), llama.encode("Hello", whole=True)
    if ours != theirs:
        return Check("tokens", False, f"the prompt 'Hello' {sides.difference(ours, theirs)}", figures)
    return Check("tokens", True, f"{len(hard) + len(lines)} strings have the same ids", figures)


def is_comparable(text: str) -> bool:
    """Whether both sides must agree on a text: not where letters newer than Python's Unicode tables or the known exception occur."""
    return "'\u017f" not in text and not any(unicodedata.category(character) == "Cn" for character in text)


# stops


def check_stops(sides: Sides, llama: LlamaServer) -> Check:
    """llama.cpp ends a generation at each of our stop ids, though not at an ordinary token, and its eos token is ours."""
    special = sides.tokenizer.special
    prompt_ids = sides.tokenizer.with_bos(sides.tokenizer.encode("Hello"))
    going_on = [token for token in sorted(special.stop_ids) if not llama.ends_after(token, prompt_ids)]
    figures: dict[str, float] = {"stop_ids": len(special.stop_ids), "going_on": len(going_on)}
    if going_on:
        return Check("stops", False, f"llama.cpp goes on after our stop token {sides.show(going_on)}", figures)
    if llama.ends_after(prompt_ids[-1], prompt_ids):
        return Check("stops", False, f"llama.cpp ends at the ordinary token {sides.show(prompt_ids[-1:])}", figures)
    ours, theirs = sides.tokenizer.decode([special.eos_id]), llama.eos_text()
    if ours != theirs:
        return Check("stops", False, f"the eos token is {ours!r} here and {theirs!r} in llama.cpp", figures)
    stops = sides.show(sorted(special.stop_ids))
    return Check("stops", True, f"llama.cpp ends a generation at {stops}; eos is {ours!r} on both sides", figures)


# template


def check_template(sides: Sides, llama: LlamaServer) -> Check:
    """Conversations of every form give the same text and the same ids."""
    ours = {name: rendered(sides, conversation) for name, conversation in CONVERSATIONS.items()}
    made = {name: each for name, each in ours.items() if each is not None}
    figures: dict[str, float] = {"conversations": len(made), "refused": len(ours) - len(made)}
    for name, each in made.items():
        difference = _template_difference(sides, each, llama.render(CONVERSATIONS[name]), llama)
        if difference:
            return Check("template", False, f"{name}: {difference}", figures)
    if not made:
        return Check("template", True, "not made: this model has no chat template", figures)
    refused = f"; the template refuses {', '.join(ours.keys() - made.keys())}" if len(made) < len(ours) else ""
    return Check("template", True, f"{len(made)} conversations have the same text and ids{refused}", figures)


def rendered(sides: Sides, conversation: Conversation) -> Rendered | None:
    """Our rendering with the assistant's turn opened; None where the model's template refuses such a conversation."""
    try:
        return render(conversation, sides.tokenizer, add_generation_prompt=True)
    except ModelError:
        return None


def _template_difference(sides: Sides, ours: Rendered, theirs: str, llama: LlamaServer) -> str:
    text = ours.text
    special = sides.tokenizer.special
    if special.adds_bos and special.bos_id is not None:
        # llama.cpp puts the bos token before every prompt itself, and therefore takes it out of the rendered text.
        text, theirs = (each.removeprefix(sides.tokenizer.decode([special.bos_id])) for each in (text, theirs))
    if text != theirs:
        place = parting(text, theirs)
        return f"differs from character {place} on: ours {text[place : place + 40]!r}; llama.cpp {theirs[place : place + 40]!r}"
    ids = llama.encode(theirs, control=True, whole=True)
    return "" if ids == ours.ids else sides.difference(ours.ids, ids)
