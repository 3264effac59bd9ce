"""What a load balancer says when it rejects a configuration, as problems of the user's file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from halab.errors import Problem
from halab.topology.balancer import BalancerFile

# Before the message: halab's time, the program, its own time, the level, its process.
_HEAD = re.compile(
    r"^(?:\d\d:\d\d:\d\d )?(?:nginx: )?(?:\S+ \d\d:\d\d:\d\d )?\[(?:ALERT|emerg)\]\s*"
    r"(?:\(\d+\) : |\d+#\d+: )?(?:config : )?"
)
# Lines of HAProxy that only say that there were others.
_SUMMARY = (
    "Error(s) found in configuration file",
    "Fatal errors found in configuration",
    "Failed to initialize server",
)


def problems(output: str, configuration: BalancerFile, rendered: str) -> list[Problem]:
    """The problems that the output of the test names. `rendered` is where the user finds the rendered lines."""
    return list(dict.fromkeys(_problems(output, configuration, rendered)))


def _problems(output: str, configuration: BalancerFile, rendered: str) -> Iterator[Problem]:
    if configuration.own is None:
        return
    own, lines = configuration.own, configuration.text.splitlines()
    # HAProxy: `parsing [FILE:12] : unknown keyword`; NGINX: `unknown directive "x" in FILE:12`
    place = re.compile(rf"(?:parsing |in )?\[?{re.escape(configuration.new)}:(\d+)\]?(?: : )?")
    # keepalived: `(FILE: Line 12) Unknown keyword 'x'`
    of_keepalived = re.compile(rf"\({re.escape(configuration.new)}: Line (\d+)\) ")
    for line in output.splitlines():
        head, said = _HEAD.match(line), of_keepalived.search(line)
        if head is None and said is None:
            continue
        what = line[head.end() :] if head else line
        named = said or place.search(what)
        if named:
            number = int(named[1])
            wrong = lines[number - 1].strip() if number <= len(lines) else ""
            text = what[said.end() :].strip() if said else place.sub("", what).strip()
            yield Problem(
                rendered if own.is_template else str(own.path),
                number,
                "",
                f"{text}: {wrong}" if wrong else text,
            )
        elif not what.startswith(_SUMMARY):
            yield Problem(str(own.path), 1, "", what.strip())
