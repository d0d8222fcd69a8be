"""`GroundupLM`: a model of groundup as an lm-eval model. Importing this registers it under the name
"groundup".

Its three requests are ours (`evaluate.items`): the same ids, batches and numbers as `groundup
evaluate`, so scores are the same. They are those of lm-eval's own backend "hf" too, with two
differences in what comes first: "hf" puts the tokenizer's bos token before a text without a prompt,
even where the model never saw it there (SmolLM2: give it `prefix_token_id`), and in rolling scores
twice where the tokenizer adds it by itself. We put it where the tokenizer does, and else the token
that separates documents. Batches hold a number of tokens, so lm-eval's `batch_size` is ignored.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# registers lm-eval's own models, which it leaves out where one is registered before
import lm_eval.models  # noqa: F401
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from groundup.device import select_compute
from groundup.engine.batch import generate_answers
from groundup.engine.sampling import Sampling
from groundup.engine.score import Pair, ScoredContinuation, score
from groundup.errors import ConfigError
from groundup.evaluate.items import Continuation, Prompt, WholeText, prompt_ids, scored_ids
from groundup.evaluate.task import language_model
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.weights.model_io import open_model

# What lm-eval calls the most tokens of an answer.
LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
SAMPLED = ("temperature", "top_p", "top_k", "min_p")


@register_model("groundup")
class GroundupLM(LM):
    """A language model: `--model groundup --model_args path=MODEL,max_gen_toks=256`."""

    def __init__(
        self, path: str, *, device: str = "auto", max_gen_toks: int = 256, **ignored: Any
    ) -> None:
        """`path`: what `groundup evaluate` takes; `max_gen_toks`: where a task says nothing. Raises
        ConfigError for an unknown argument, and what `open_model` raises.
        """
        super().__init__()
        unknown = ignored.keys() - {"batch_size", "max_batch_size"}
        if unknown:
            raise ConfigError(
                f"--model_args {min(unknown)} is unknown.",
                fix="There are path, device and max_gen_toks: path=MODEL.",
            )
        # "cuda:0" is lm-eval's default, with and without a GPU.
        if device.startswith("cuda"):
            device = "auto"
        self.compute = select_compute(device)
        self.opened = open_model(path, self.compute)
        self.model, self.tokenizer = language_model(self.opened)
        self.max_gen_toks = int(max_gen_toks)
        self._rendered: dict[str, list[int]] = {}
        """Text -> ids: what users wrote in it never becomes a control token."""

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """(ln P(continuation | context), whether greedy decoding writes it)."""
        pairs = [self._pair(*request.args) for request in requests]
        found = [(each.logprob, each.is_greedy) for each in self._scores(pairs)]
        for request, result in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, result)
        return found

    def _pair(self, context: str, continuation: str) -> Pair:
        if context in self._rendered:
            return self._rendered[context], self.tokenizer.encode(continuation, starts=False)
        return scored_ids(Continuation(Prompt(context), continuation), "plain", self.tokenizer)

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """ln P(text); of one longer than the context in windows, each token once."""
        windows = [self._windows(*request.args) for request in requests]
        scored = iter(self._scores([pair for pairs in windows for pair in pairs]))
        found = [sum(next(scored).logprob for _ in pairs) for pairs in windows]
        for request, result in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, result)
        return found

    def _windows(self, text: str) -> list[Pair]:
        first, ids = scored_ids(WholeText(text), "plain", self.tokenizer)
        tokens = self.opened.config.context_tokens
        windows = get_rolling_token_windows(
            list(ids), prefix_token=first[-1], max_seq_len=tokens, context_len=1
        )
        return [make_disjoint_window(window) for window in windows]

    def _scores(self, pairs: Sequence[Pair]) -> list[ScoredContinuation]:
        with tqdm(total=len(pairs), desc="scoring") as bar:
            return score(self.model, pairs, compute=self.compute, done=bar.update)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Without the text that ended it."""
        asked: dict[Sampling, list[int]] = {}
        for number, request in enumerate(requests):
            asked.setdefault(sampling_of(request.args[1], self.max_gen_toks), []).append(number)
        found = [""] * len(requests)
        with tqdm(total=len(requests), desc="answers") as bar:
            for sampling, numbers in asked.items():
                prompts = [
                    self._prompt(requests[number].args[0], sampling.max_tokens)
                    for number in numbers
                ]
                texts = generate_answers(
                    prompts,
                    self.model,
                    self.tokenizer,
                    sampling,
                    compute=self.compute,
                    stop_ids=self.tokenizer.special.stop_ids,
                    done=bar.update,
                )
                for number, text in zip(numbers, texts, strict=True):
                    found[number] = text
                    self.cache_hook.add_partial("generate_until", requests[number].args, text)
        return found

    def _prompt(self, context: str, max_tokens: int) -> list[int]:
        """Without its oldest ids where it leaves no room for the answer. Raises ConfigError."""
        room = self.opened.config.context_tokens - max_tokens
        if room < 1:
            raise ConfigError(
                f"An answer of {max_tokens:,} tokens does not fit the model's context "
                f"of {self.opened.config.context_tokens:,}.",
                fix="Give fewer with --gen_kwargs max_gen_toks=N.",
            )
        ids = self._rendered.get(context) or prompt_ids(Prompt(context), "plain", self.tokenizer)
        return ids[-room:]

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """As text, whose ids are kept. Raises ModelError without a chat template."""
        turns = tuple(Message(each["role"], each["content"]) for each in chat_history)  # type: ignore[arg-type]
        ids = render(
            Conversation(turns), self.tokenizer, add_generation_prompt=add_generation_prompt
        ).ids
        text = self.tokenizer.decode(ids)
        self._rendered[text] = ids
        return text

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        if not chat_template:
            return None
        return self.tokenizer.chat_template

    @property
    def tokenizer_name(self) -> str:
        """What distinguishes rendered texts in lm-eval's cache."""
        return self.tokenizer.fingerprint


def sampling_of(given: Mapping[str, Any], max_tokens: int) -> Sampling:
    """Greedy unless `do_sample` or a temperature says otherwise. Raises ConfigError for unknown
    settings.
    """
    values = dict(given)
    limits = [values.pop(name) for name in LIMITS if name in values]
    ends = values.pop("until", None) or ()
    if isinstance(ends, str):
        ends = (ends,)
    sampled = values.pop("do_sample", None)
    drawn = {name: values.pop(name) for name in SAMPLED if name in values}
    if values:
        raise ConfigError(
            f"--gen_kwargs {min(values)} is unknown.",
            fix=f"There are until, {', '.join(LIMITS + SAMPLED)}.",
        )
    if sampled is False or (sampled is None and not drawn.get("temperature")):
        drawn = {"temperature": 0}
    limits.append(max_tokens)
    return Sampling(**drawn, max_tokens=int(limits[0]), stop=tuple(filter(None, ends)))
