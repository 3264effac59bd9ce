"""The command line of a run, recorded so that it does the same again."""

from __future__ import annotations

from collections.abc import Sequence

_SEED = "--seed"


def repeatable(words: Sequence[str], seed: int) -> tuple[str, ...]:
    """The command line `words` (`halab`, then the arguments) with the seed that it used.

    It stays as it is if it has a seed, and for `halab replay`, which takes the seed of its archive.
    """
    if verb(words) == "replay" or any(word == _SEED or word.startswith(f"{_SEED}=") for word in words):
        return tuple(words)
    # nothing behind `--` is an option
    end = words.index("--") if "--" in words else len(words)
    return (*words[:end], _SEED, str(seed), *words[end:])


def verb(words: Sequence[str]) -> str:
    """`run`, `prove`, `compare` …; empty if there is none."""
    return next((word for word in words[1:] if not word.startswith("-")), "")
