"""What the page's program computes, of what kind and how large. Nothing here imports torch."""

from groundup.model.config import ModelConfig

# A file of 107 MB: Chromium opens it in seconds, and writes some tokens a second.
MAX_PARAMETERS = 20_000_000
# In 8 bits, fetched in parts: a browser's tab holds it beside the caches.
MAX_SERVED_PARAMETERS = 500_000_000
# Those with a twin in model.js.
FEEDFORWARDS = ("swiglu", "geglu", "gelu")


def config_fault(config: ModelConfig) -> str:
    """What a language model has that the page's program does not compute; "" for nothing."""
    if config.num_experts:
        return "experts, which the page's program does not compute"
    if config.feedforward not in FEEDFORWARDS:
        known = ", ".join(FEEDFORWARDS)
        return f"the activation {config.feedforward}; the page's program has {known}"
    return ""


def served_fault(config: ModelConfig, parameters: int) -> str:
    """The same for the page that a server gives, with the size."""
    if parameters > MAX_SERVED_PARAMETERS:
        return f"{parameters:,} parameters; a page holds {MAX_SERVED_PARAMETERS:,}"
    return config_fault(config)
