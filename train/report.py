"""`python -m train.report`: the command `mermed report` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("report")

if __name__ == "__main__":
    sys.exit(main())
