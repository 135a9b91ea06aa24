"""`python -m mermed_core`: the command `mermed`."""

import sys

from mermed_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
