"""`python -m train.pool_stages`: the command `mermed pool-stages` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("pool-stages")

if __name__ == "__main__":
    sys.exit(main())
