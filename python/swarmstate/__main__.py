"""Runs the command `swarmstate` as `python -m swarmstate`."""

import sys

from swarmstate._command import main

sys.exit(main())
