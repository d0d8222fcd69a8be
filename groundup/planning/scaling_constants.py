"""The numbers of the planner: those measured with the current defaults of training, to be measured
again when these change, and published ones.

    groundup sweep runs/quickstart/tokenizer/shards --out runs/law --sizes 4 --budget 15m
            the law; LAW's runs: docs/log.md

The learning-rate rule comes from the reference run (quickstart's), the critical batch from runs
over one text in several batch sizes (docs/log.md).
"""

from groundup.planning.scaling_law import Law
from groundup.train.steps.config import pretraining_config

# The runs that the defaults (`train/steps/config.py`) were tuned on: quickstart, 8 windows of 128 tokens.
REFERENCE_WIDTH, REFERENCE_BATCH_TOKENS = 128, 1_024
# Highest learning rate ~ width^(-2/3): from AdamW's 2e-3 at width 128 it leads to 6.1e-4 at 768 and
# 2.0e-4 at 4,096, where GPT-3's table 2.1 has 6e-4 and 1.2e-4, and Llama's table 2 has 3e-4 (Brown
# et al. 2020, Touvron et al. 2023).
RATE_POWER = 2 / 3
# A rate this many times above the rule's is called too high; quickstart's loss was worse from 3 times
# on (docs/log.md).
TOO_HIGH = 3.0
# The rate does not rise with the batch: at four times the batch, twice the rate ended at 2.89 bits
# per byte, the same at 2.75 (docs/log.md).

LAW = Law(
    floor=0.696,
    of_parameters=0.206,
    parameters_power=0.362,
    of_text=1.357,
    text_power=0.144,
    critical_batch_bytes=8.5e3,  # of Muon; AdamW's was 3e3
    spread=0.022,  # 0.013 by leaving runs out; AdamW's runs gave 0.019, with two of eleven just beyond two of those
    parameters=(164e3, 2.816e6),
    read_bytes=(0.2e6, 4.17e6),
)
# Standard deviation of ln(loss) between texts of one kind, here English prose and verse: the
# uncertainty about a text before a probe or a sweep.
TEXT_SPREAD = 0.1
# One step of Muon is worth this many of AdamW: quickstart's runs of 1,200 and 3,251 steps with AdamW
# ended where the law with Muon is after 680 and 1,780 (docs/log.md: 2.123 and 1.951 bits per byte).
# In shorter ones Muon gains more, 2.6 times at 400 steps.
MUON_WORTH = 1.8

# Of the highest rate for random weights, where the training of a model is continued: it goes on at
# the rate at which a cosine schedule has ended (Parmar et al. 2024, "Reuse, Don't Retrain").
CONTINUED_RATE_SHARE = 0.1
# Share of replayed text where none is given: enough where the new text is of the same language
# (Ibrahim et al. 2024).
REPLAY_SHARE = 0.05

# Compute-optimal training reads about 20 tokens per parameter (Hoffmann et al. 2022, "Chinchilla",
# table 3).
OPTIMAL_TOKENS_PER_PARAMETER = 20
# Small models are trained on far more for cheap inference (Llama 3 8B: 1,900); above this a larger
# one would be better for the same computation.
MANY_TOKENS_PER_PARAMETER = 500
# Up to 4 epochs repeated text is nearly as good as new text; later ones teach less and less
# (Muennighoff et al. 2023, figure 1).
HARMLESS_EPOCHS = 4
# Warm-up and Adam's running means need some hundred updates.
FEW_STEPS = 100
# Below this a step's gradient is mostly noise, and matrices are too small to keep the machine busy.
FEW_BATCH_TOKENS = 256


def learning_rate_for(width: int, optimizer: str) -> float:
    """The highest learning rate for a width; never above the reference's where the model is
    narrower.

    With Muon that of tables, head and vectors: its own, of the matrices, suits all widths, as their
    updates are made equally long.
    """
    reference = pretraining_config(1, {"optimizer": optimizer}).optimizer.learning_rate
    return float(f"{reference * min(1.0, (REFERENCE_WIDTH / width) ** RATE_POWER):.2g}")
