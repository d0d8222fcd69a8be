"""Which blocks a step computes (`FitConfig.blocks`): a pure function of seed and step, so that a
resumed run goes on alike.

    start   the first steps compute the first blocks only, in less time. The output matrices of the
            others begin at zero: they add nothing until they join, and so the model is whole at
            every step, and its export, too. (Growing a trained network without changing what it
            computes: Chen et al. 2016, "Net2Net"; layer by layer: Gong et al. 2019, "Efficient
            Training of BERT by Progressively Stacking".)
    drop    stochastic depth (Huang et al. 2016): block l of L, from 1, is left out with probability
            p_l = drop l / L, and adds 1 / (1 - p_l) of its output otherwise, so that its mean stays
            the same.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from groundup.device import generator
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.transformer import Transformer
from groundup.train.steps.config import FitConfig

OUTPUTS = ("attention.output.weight", "feedforward.down.weight")


def block_shares(config: FitConfig, layers: int, step: int, place: float) -> Sequence[float]:
    """What share of its output each block adds in the step that follows `step`, at this place in
    the schedule; 0: it is left out.

    >>> block_shares(FitConfig(100, blocks=Blocks(start=2)), 4, step=0, place=0.0)
    [1.0, 1.0, 0.0, 0.0]
    """
    blocks, shares = config.blocks, [1.0] * layers
    if blocks.drop:
        dice = torch.rand(layers, generator=generator(config.seed, f"blocks {step}")).tolist()
        for number, drawn in enumerate(dice):
            left_out = blocks.drop * (number + 1) / layers
            shares[number] = 0.0
            if drawn >= left_out:
                shares[number] = 1 / (1 - left_out)
    if blocks.start is not None and place < config.start_block_steps:
        shares[blocks.start :] = [0.0] * (layers - blocks.start)
    return shares


def choose_blocks(model: nn.Module, config: FitConfig, step: int, place: float) -> None:
    """Those that the step after `step` computes."""
    for transformer in _transformers(model):
        layers = transformer.config.num_layers
        transformer.shares = block_shares(config, layers, step, place)


def compute_all_blocks(model: nn.Module) -> None:
    for transformer in _transformers(model):
        transformer.shares = None


def _transformers(model: nn.Module) -> Iterator[Transformer]:
    return (part for part in model.modules() if isinstance(part, Transformer))


def begin_as_identities(model: nn.Module, start: int) -> None:
    """Zero the output matrices of all blocks but the first `start`."""
    for transformer in _transformers(model):
        for block in transformer.blocks[start:]:
            for name, parameter in block.named_parameters():
                if name.endswith(OUTPUTS):
                    nn.init.zeros_(parameter)


def require_start_blocks(config: FitConfig, shape: ModelConfig, *, continued: bool) -> None:
    """Refuse `blocks.start` for a model that can't begin with fewer. Raises ConfigError."""
    start = config.blocks.start
    if start is None:
        return
    fix = "Leave it out, or set a smaller one."
    if start >= shape.num_layers:
        raise ConfigError(
            f"fit.blocks.start {start} must be less than the model's {shape.num_layers} blocks.",
            fix=fix,
        )
    if continued or shape.block == "post":
        raise ConfigError(
            "fit.blocks.start is for a new model whose blocks can begin as identities, and this "
            "one's can't.",
            fix="Leave it out.",
        )


def require_one_process(config: FitConfig, processes: int) -> None:
    """Raises ConfigError: parameters without a gradient are not exchanged."""
    if processes > 1 and config.blocks.vary:
        raise ConfigError(
            f"fit.blocks leaves blocks out of a step, which {processes} processes together can't.",
            fix="Leave fit.blocks out, or train in one process.",
        )
