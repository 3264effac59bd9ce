"""`python -m halab`."""

import sys

# pip refuses an older Python, but a checkout runs without pip, and the standard library lacks what halab imports
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        f"error: halab needs Python 3.11 or newer, and this is {sys.version_info[0]}.{sys.version_info[1]}\n\n"
        "hint: install one beside it, for example with `uv python install 3.12`"
    )

from halab.cli import main

sys.exit(main())
