"""`python -m train.model_report`: the command `mermed model-report` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("model-report")

if __name__ == "__main__":
    sys.exit(main())
