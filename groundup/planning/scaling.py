"""Every number of the planner that was measured with the defaults of training as they are. When those change, this file is made anew.

    groundup sweep runs/quickstart/tokenizer/shards --out runs/law --sizes 4 --budget 15m     the law; LAW's runs: docs/log.md

The learning-rate rule hangs on the reference run (quickstart's), the critical batch on runs that read the same text in other batches (docs/log.md).
"""

from groundup.planning.law import Law
from groundup.train.config import OptimizerName
from groundup.train.defaults import pretraining_config

# The runs that the defaults (`defaults.py`) were tuned on: quickstart, 8 windows of 128 tokens.
REFERENCE_WIDTH, REFERENCE_BATCH_TOKENS = 128, 1_024
# Highest learning rate ~ width^(-2/3): from AdamW's 2e-3 at width 128 it leads to 6.1e-4 at 768 and 2.0e-4 at 4,096, where GPT-3's table 2.1 has 6e-4
# and 1.2e-4, and Llama's table 2 has 3e-4 (Brown et al. 2020, Touvron et al. 2023).
RATE_POWER = 2 / 3
# A rate so many times above the rule's is called too high; runs on quickstart lost from 3 times on (docs/log.md).
TOO_HIGH = 3.0
# The rate does not rise with the batch: at four times the batch, twice the rate ended at 2.89 bits per byte, the same at 2.75 (docs/log.md).

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
# Standard deviation of ln(loss) between texts of one kind, here English prose and verse: what is not known of a text before a probe or a sweep.
TEXT_SPREAD = 0.1


def learning_rate_for(width: int, optimizer: OptimizerName) -> float:
    """The highest learning rate for a width; never above the reference's where the model is narrower.

    With Muon that of tables, head and vectors: its own, of the matrices, suits all widths, as their updates are made equally long.
    """
    reference = pretraining_config(1, {"optimizer": optimizer}).learning_rate
    return float(f"{reference * min(1.0, (REFERENCE_WIDTH / width) ** RATE_POWER):.2g}")
