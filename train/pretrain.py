"""`python -m train.pretrain`: the command `mermed pretrain` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("pretrain")

if __name__ == "__main__":
    sys.exit(main())
