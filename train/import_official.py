"""`python -m train.import_official`: the command `mermed import-official` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("import-official")

if __name__ == "__main__":
    sys.exit(main())
