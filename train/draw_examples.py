"""`python -m train.draw_examples`: the command `mermed draw-examples` with the same options."""

import sys

from mermed_core.cli.program import step

main = step("draw-examples")

if __name__ == "__main__":
    sys.exit(main())
