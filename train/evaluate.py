"""`python -m train.evaluate`: the command `mermed evaluate` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("evaluate")

if __name__ == "__main__":
    sys.exit(main())
