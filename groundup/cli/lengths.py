"""How long and how large a training is: the options that `plan`, `pretrain` and `sweep` share."""

from pathlib import Path
from typing import Annotated

import typer

BudgetOption = Annotated[str | None, typer.Option("--budget", help="As long as this: 90s, 30m, 2h.")]
MinutesOption = Annotated[float | None, typer.Option("--minutes", min=0.05, help="As long as this.")]
StepsOption = Annotated[
    int | None, typer.Option("--steps", min=1, max=10**9, help="Or so many updates of the weights.")
]
TokensOption = Annotated[
    int | None, typer.Option("--tokens", min=1, max=10**15, help="Or so many tokens read, repeats counted.")
]
EpochsOption = Annotated[float | None, typer.Option("--epochs", help="Or so many times over the text.")]
SizeOption = Annotated[str | None, typer.Option("--size", help="About so many parameters: 10M, 1.5B.")]
DepthOption = Annotated[int | None, typer.Option("--depth", help="Or so many blocks; the rest follows.")]
PresetOption = Annotated[str | None, typer.Option("--preset", help="Or a known shape by name.")]
LawOption = Annotated[Path | None, typer.Option("--law", help="A sweep's folder, whose scaling law is taken.")]
