"""`python -m bertkit`: the same as the command `bertkit`."""

import sys

from bertkit.cli import main

sys.exit(main())
