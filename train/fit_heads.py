"""`python -m train.fit_heads`: the command `mermed fit` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("fit")

if __name__ == "__main__":
    sys.exit(main())
