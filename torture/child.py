"""A run that tells through a pipe which phase it is in, one letter at each change, so that it can be killed there."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

PHASES = {"u": "start-up", "t": "step", "v": "validation", "s": "save", "e": "end"}


def train(words: list[str], pipe: int) -> int:
    """The exit code of the command line, in this process. The pipe is told from the first line on."""
    os.write(pipe, b"u")
    from trainer.cli import main as cli
    from trainer.engine import loop
    from trainer.engine.checkpoint import Checkpoints
    from trainer.engine.loop import finished

    under_way = ["u"]

    def told(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def telling(*args: Any, **options: Any) -> Any:
            under_way.append(phase)
            os.write(pipe, phase.encode())
            try:
                return function(*args, **options)
            finally:
                under_way.pop()
                os.write(pipe, under_way[-1].encode())

        return telling

    def tell_what_follows(*args: Any) -> bool:
        done = finished(*args)
        under_way[0] = "e" if done else "t"
        os.write(pipe, under_way[0].encode())
        return done

    loop.finished = tell_what_follows  # type: ignore[assignment]  # the loop asks before each epoch
    loop.evaluate = told("v", loop.evaluate)
    for save in ("save_last", "keep"):
        setattr(Checkpoints, save, told("s", getattr(Checkpoints, save)))
    return cli.main(words)


if __name__ == "__main__":
    sys.exit(train(sys.argv[2:], int(sys.argv[1])))
