"""What a verb says while it starts, where that takes long: on a busy machine importing modules alone
takes many seconds. A quick start says nothing.

    START.watch()                       in `__main__`, before anything is imported
    START.part("opening the model")     what is done from here on
    START.end(say)                      before the first output: says what took how long
    START.end(say, "Answered")          where what was asked for is done, too
"""

import os
import threading
import time
from collections.abc import Callable
from itertools import pairwise

# A start that has said nothing for so long says what it does; one that took so long says what of.
SILENT_S, LONG_S = 0.7, 3.0
# The verbs that say when their start ends.
VERBS = ("serve", "chat", "generate", "ask", "classify", "index")


class Start:
    """The parts of a start, one after the other."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, float]] = []
        self._said = threading.Event()

    def watch(self) -> None:
        self._begun = [("importing modules", time.monotonic())]
        self._said = threading.Event()
        threading.Thread(target=self._say, args=(self._said,), daemon=True).start()

    def part(self, what: str, *, said: bool = False) -> None:
        """`said`: the verb has said what it does."""
        if said:
            self._said.set()
        if self._begun:
            self._begun.append((what, time.monotonic()))

    def end(self, say: Callable[[str], object], done: str = "Started") -> None:
        """Say what took how long, where it took long and is watched. `done`: what is done now."""
        self.part("", said=True)
        begun, self._begun = self._begun, []
        if not begun or begun[-1][1] - begun[0][1] < LONG_S:
            return
        took = [f"{after - at:.1f} s {what}" for (what, at), (_, after) in pairwise(begun)]
        line = f"{done} after {begun[-1][1] - begun[0][1]:.1f} s: {', '.join(took)}."
        say(f"{line} Processor time of all its threads: {time.process_time():.1f} s.")

    def _say(self, said: threading.Event) -> None:
        if not said.wait(SILENT_S) and self._begun:
            # not `print`, whose lock a process that ends meanwhile would wait for
            os.write(2, f"Starting: {self._begun[-1][0]} ...\n".encode())


START = Start()
