"""Runs the command: `python -m tfsemcomp`."""

import sys

from tfsemcomp import cli

sys.exit(cli.main())
