"""The machines of a lab: what the providers share.

Begin with provider.py and power.py, which the packages `docker` and `libvirt` implement; guests.py runs commands inside
machines.
"""

from __future__ import annotations

import logging

# python-vagrant warns at its import where there is no Vagrant; halab says so itself, with the command that installs it
logging.getLogger("vagrant").addHandler(logging.NullHandler())
