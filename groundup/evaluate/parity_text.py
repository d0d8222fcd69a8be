"""Parity of text: the same ids, the same stop tokens, the same rendered conversations."""

import unicodedata
from collections.abc import Sequence

from groundup.errors import ModelError
from groundup.evaluate.llamacpp import LlamaServer
from groundup.evaluate.parity_sides import Check, Sides, first_difference, short
from groundup.evaluate.parity_texts import CONVERSATIONS, HARD_STRINGS
from groundup.tokenizer.chat import Conversation, Rendered, render


def check_tokens(sides: Sides, llama: LlamaServer, user_lines: Sequence[str]) -> Check:
    """Check that hard strings and the user's lines have the same ids on both sides, and one prompt including bos."""
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
    ours, theirs = sides.tokenizer.with_bos(sides.tokenizer.encode("Hello")), llama.encode("Hello", add_bos=True)
    if ours != theirs:
        return Check("tokens", False, f"the prompt 'Hello' {sides.difference(ours, theirs)}", figures)
    return Check("tokens", True, f"{len(hard) + len(lines)} strings have the same ids", figures)


def is_comparable(text: str) -> bool:
    """Return whether both sides must agree on a text: not with characters newer than Python's Unicode tables or the known exception."""
    return "'\u017f" not in text and not any(unicodedata.category(character) == "Cn" for character in text)


# stops


def check_stops(sides: Sides, llama: LlamaServer) -> Check:
    """Check that llama.cpp ends a generation at each of our stop ids, not at an ordinary token, and has the same eos token."""
    special = sides.tokenizer.special
    prompt_ids = sides.tokenizer.with_bos(sides.tokenizer.encode("Hello"))
    ignored = [token for token in sorted(special.stop_ids) if not llama.ends_after(token, prompt_ids)]
    figures: dict[str, float] = {"stop_ids": len(special.stop_ids), "going_on": len(ignored)}
    if ignored:
        return Check("stops", False, f"llama.cpp continues after our stop token {sides.show(ignored)}", figures)
    if llama.ends_after(prompt_ids[-1], prompt_ids):
        return Check("stops", False, f"llama.cpp ends at the ordinary token {sides.show(prompt_ids[-1:])}", figures)
    ours, theirs = sides.tokenizer.decode([special.eos_id]), llama.eos_text()
    if ours != theirs:
        return Check("stops", False, f"the eos token is {ours!r} here and {theirs!r} in llama.cpp", figures)
    stops = sides.show(sorted(special.stop_ids))
    return Check("stops", True, f"llama.cpp ends a generation at {stops}; eos is {ours!r} on both sides", figures)


# template


def check_template(sides: Sides, llama: LlamaServer) -> Check:
    """Check that conversations of every kind render to the same text and ids."""
    ours = {name: rendered(sides, conversation) for name, conversation in CONVERSATIONS.items()}
    accepted = {name: each for name, each in ours.items() if each is not None}
    figures: dict[str, float] = {"conversations": len(accepted), "refused": len(ours) - len(accepted)}
    for name, each in accepted.items():
        difference = _template_difference(sides, each, llama.render(CONVERSATIONS[name]), llama)
        if difference:
            return Check("template", False, f"{name}: {difference}", figures)
    if not accepted:
        return Check("template", True, "not made: this model has no chat template", figures)
    refused = f"; the template refuses {', '.join(ours.keys() - accepted.keys())}" if len(accepted) < len(ours) else ""
    return Check("template", True, f"{len(accepted)} conversations have the same text and ids{refused}", figures)


def rendered(sides: Sides, conversation: Conversation) -> Rendered | None:
    """Return our rendering with the assistant's turn opened, or None where the template refuses the conversation."""
    try:
        return render(conversation, sides.tokenizer, add_generation_prompt=True)
    except ModelError:
        return None


def _template_difference(sides: Sides, ours: Rendered, theirs: str, llama: LlamaServer) -> str:
    text = ours.text
    special = sides.tokenizer.special
    if special.adds_bos and special.bos_id is not None:
        # llama.cpp adds the bos token to every prompt itself, and therefore removes it from the rendered text.
        text, theirs = (each.removeprefix(sides.tokenizer.decode([special.bos_id])) for each in (text, theirs))
    if text != theirs:
        place = first_difference(text, theirs)
        return f"differs from character {place} on: ours {text[place : place + 40]!r}; llama.cpp {theirs[place : place + 40]!r}"
    ids = llama.encode(theirs, control=True, add_bos=True)
    return "" if ids == ours.ids else sides.difference(ours.ids, ids)
