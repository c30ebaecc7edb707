"""`python -m glimpse.cli` is `glimpse`."""

import sys

from . import main

sys.exit(main())
