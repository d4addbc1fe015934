"""When Python looks for cycles that nothing reaches: not among what was imported, which stays for good."""

import gc


def put_off_collecting() -> None:
    """Until `begin_collecting`. Importing torch takes a fifth less time without: all that it makes stays."""
    gc.disable()


def begin_collecting() -> None:
    """If it was put off. What is there by now is never looked at again."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def end_without_collecting() -> None:
    """Lets the process end a second sooner, after training: its memory goes back as a whole."""
    gc.freeze()
