"""`python -m train.build_collection`: the command `mermed collect` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("collect")

if __name__ == "__main__":
    sys.exit(main())
