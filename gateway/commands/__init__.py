"""The command line of operators: teams, keys, limits, cache, usage, audit and admins.

Every command works on the record itself, or with ``--url`` on a running gateway, and has the same words as ``/admin/``.
What a command needs is imported when it runs: asking for help costs nothing.
"""

import click

from gateway.commands.admins import admins
from gateway.commands.audit import audit
from gateway.commands.cache import cache
from gateway.commands.keys import keys
from gateway.commands.limits import limits
from gateway.commands.teams import teams
from gateway.commands.usage import usage

COMMANDS: tuple[click.Command, ...] = (teams, keys, limits, cache, usage, audit, admins)
