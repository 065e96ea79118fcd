"""`python -m edge` is `alpr-edge`."""

import sys

from edge.cli import main

sys.exit(main())
