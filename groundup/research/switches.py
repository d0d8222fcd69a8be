"""The registry of switches: changes of the pretraining recipe, each with its name, what it changes,
the paper that it comes from, and the settings of `groundup pretrain --set` that make it.

    SWITCHES["packing"].settings     ("fit.rows.packing=true",)

To add one: an object in `_KNOWN`. A change that is no setting yet becomes a field of `FitConfig` or
`ModelConfig` first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from groundup.errors import ConfigError, did_you_mean, require

BASELINE, TOGETHER = "baseline", "together"
# Tables of settings that a switch may change; the texts are the same for all.
TABLES = ("fit.", "model.")


@dataclass(frozen=True)
class Switch:
    """One change of the recipe. Raises ConfigError for a name or setting that can't be one.

    >>> switch = groundup.Switch("deep", "Six blocks", settings=["model.num_layers=6"])
    >>> switch.fields
    ('model.num_layers',)
    """

    name: str
    """Lower case letters, digits and hyphens: it is also a folder's name."""
    changes: str
    """What is otherwise than in the baseline, in one sentence."""
    paper: str = ""
    """Where it comes from; "": an ordinary choice."""
    settings: Sequence[str] = field(default=())
    """As `groundup pretrain --set` takes them, of the tables fit. and model."""

    def __post_init__(self) -> None:
        named = re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.name) and self.name != BASELINE
        require(
            bool(named),
            "The name of a switch",
            repr(self.name),
            f"of lower case letters, digits and hyphens, and not {BASELINE!r}",
        )
        require(bool(self.settings), f"The settings of switch {self.name!r}", "none", "one or more")
        for setting in self.settings:
            require(
                setting.startswith(TABLES) and "=" in setting,
                f"A setting of switch {self.name!r}",
                repr(setting),
                f"FIELD=VALUE with a field of {' or '.join(TABLES)}",
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it sets."""
        return tuple(setting.partition("=")[0] for setting in self.settings)

    def excludes(self, other: "Switch") -> bool:
        """Whether both set the same field, or one a part of what the other sets."""
        return any(
            f"{one}.".startswith(f"{two}.") or f"{two}.".startswith(f"{one}.")
            for one in self.fields
            for two in other.fields
        )


_KNOWN = (
    Switch(
        "adamw",
        "AdamW for all parameters instead of Muon for the matrices of blocks",
        "Loshchilov & Hutter 2019, arXiv 1711.05101",
        ("fit.optimizer=adamw",),
    ),
    Switch(
        "cosine",
        "The learning rate falls as a cosine instead of linearly over the last three fifths",
        "Loshchilov & Hutter 2017, arXiv 1608.03983",
        ("fit.schedule.name=cosine",),
    ),
    Switch(
        "matrix-rate-low",
        "Two thirds of Muon's learning rate",
        settings=("fit.optimizer.matrix_learning_rate=0.01",),
    ),
    Switch(
        "matrix-rate-high",
        "Four thirds of Muon's learning rate",
        settings=("fit.optimizer.matrix_learning_rate=0.02",),
    ),
    Switch(
        "table-rate-low",
        "Half the learning rate of embeddings, head and norms",
        settings=("fit.optimizer.learning_rate=0.003",),
    ),
    Switch(
        "momentum-95",
        "Muon's momentum 0.95 instead of 0.9",
        "Jordan et al. 2024, the blog post on Muon",
        ("fit.optimizer.momentum=0.95",),
    ),
    Switch(
        "normuon",
        "The rows of Muon's updates are made equally long over time",
        "Li et al. 2025, arXiv 2510.05491",
        ("fit.optimizer.row_beta=0.95",),
    ),
    Switch(
        "muoneq",
        "The rows of the mean gradient are made equally long before Muon makes it orthogonal",
        "Chang et al. 2026, arXiv 2603.28254, variant R",
        ("fit.optimizer.equal_rows=true",),
    ),
    Switch(
        "polar-express",
        "Other polynomials make Muon's updates orthogonal, nearer to it in as many iterations",
        "Amsel et al. 2025, arXiv 2505.16932",
        ("fit.optimizer.polynomial=polar-express",),
    ),
    Switch(
        "cautious-decay",
        "Only weights of matrices that the step makes smaller decay",
        "Chen et al. 2025, arXiv 2510.12402",
        ("fit.optimizer.cautious_decay=true",),
    ),
    Switch(
        "bigram-tables",
        "Embedding and a head of its own begin with what follows each token in the text",
        "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits",
        ("fit.initial_tables=bigrams", "model.tied_head=false"),
    ),
    Switch(
        "no-decay",
        "No weight decay",
        settings=("fit.optimizer.weight_decay=0",),
    ),
    Switch(
        "strong-decay",
        "Weight decay 0.3 instead of 0.1, against memorising few texts",
        "Kim et al. 2025, arXiv 2509.14786",
        ("fit.optimizer.weight_decay=0.3",),
    ),
    Switch(
        "batch-double",
        "Two batches a step, half as many steps",
        "McCandlish et al. 2018, arXiv 1812.06162",
        ("fit.accumulation=2",),
    ),
    Switch(
        "short-rows-first",
        "The first half of the tokens is read in rows of 32",
        "Li et al. 2022, arXiv 2108.06084",
        ("fit.rows.start_context_tokens=32",),
    ),
    Switch(
        "few-rows-first",
        "The first half of the steps reads half a batch each",
        "McCandlish et al. 2018, arXiv 1812.06162; Zhang et al. 2024, arXiv 2410.21676",
        ("fit.rows.start_batch_size=4",),
    ),
    Switch(
        "two-blocks-first",
        "The first quarter of the steps computes two blocks, the others join as identities",
        "Gong et al. 2019, progressive stacking (ICML); Net2Net, arXiv 1511.05641",
        ("fit.blocks.start=2",),
    ),
    Switch(
        "stochastic-depth",
        "A step leaves out blocks at random: the last one in ten, earlier ones in proportion",
        "Huang et al. 2016, arXiv 1603.09382",
        ("fit.blocks.drop=0.1",),
    ),
    Switch(
        "z-loss",
        "Beside each token's loss 1e-4 times the squared logarithm of the softmax's denominator",
        "Chowdhery et al. 2022 (PaLM), arXiv 2204.02311, section 5",
        ("fit.stability.z_weight=1e-4",),
    ),
    Switch(
        "packing",
        "Rows hold whole documents, and no token attends to another document",
        "Krell et al. 2021, arXiv 2107.02027",
        ("fit.rows.packing=true",),
    ),
    Switch(
        "no-warm-up",
        "The learning rate is at its highest from the first step on",
        settings=("fit.schedule.warmup_steps=0",),
    ),
    Switch(
        "context-256",
        "Rows of 256 tokens, four of them a batch",
        settings=("model.context_tokens=256", "fit.batch_size=4"),
    ),
    Switch(
        "untied",
        "The output matrix is its own, not the embedding matrix",
        "Press & Wolf 2017, arXiv 1608.05859, for the contrary",
        ("model.tied_head=false",),
    ),
    Switch(
        "qk-norm",
        "Queries and keys of each head are normalised (Qwen3's layout of weights)",
        "Dehghani et al. 2023, arXiv 2302.05442; Qwen3, arXiv 2505.09388",
        ("model.qk_norm=head", "model.family=qwen3"),
    ),
    Switch(
        "six-blocks",
        "Six blocks",
        "Kaplan et al. 2020, arXiv 2001.08361, figure 5",
        ("model.num_layers=6",),
    ),
    Switch(
        "width-192",
        "Width 192 with six heads, the feed-forward network 512 wide",
        "Kaplan et al. 2020, arXiv 2001.08361, figure 5",
        (
            "model.width=192",
            "model.num_heads=6",
            "model.num_kv_heads=2",
            "model.feedforward_width=512",
        ),
    ),
    Switch(
        "vocabulary-2048",
        "A tokenizer of 2,048 ids",
        "Tao et al. 2024, arXiv 2407.13623",
        ("model.vocab_size=2048",),
    ),
)
SWITCHES = {switch.name: switch for switch in _KNOWN}


def chosen_switches(names: Sequence[str | Switch]) -> tuple[Switch, ...]:
    """Return the switches of these names, all for none; a `Switch` of one's own stands for itself.

    Raises ConfigError for an unknown name, with the nearest, and for one that is given twice.
    """
    found: dict[str, Switch] = {}
    for each in names or SWITCHES:
        name = str(getattr(each, "name", each))
        if name == TOGETHER:
            raise ConfigError(f"No switch can have the name {name!r}.", fix="Choose another.")
        if name in found:
            raise ConfigError(f"The switch {name!r} is given twice.", fix="Give each once.")
        if isinstance(each, Switch):
            found[name] = each
        elif name in SWITCHES:
            found[name] = SWITCHES[name]
        else:
            fix = did_you_mean(name, SWITCHES)
            raise ConfigError(f"There is no switch {name!r}.", fix=fix)
    return tuple(found.values())


def joined(switches: Sequence[Switch]) -> tuple[Switch, ...]:
    """Return those that go together, the first given preferred where two set the same field."""
    kept: list[Switch] = []
    for switch in switches:
        if not any(switch.excludes(other) for other in kept):
            kept.append(switch)
    return tuple(kept)
