"""`python -m train.pack_shards`: the command `mermed pack-shards` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("pack-shards")

if __name__ == "__main__":
    sys.exit(main())
