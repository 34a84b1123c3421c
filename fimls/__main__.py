"""``python -m fimls``, and the ``fimls`` script."""

import sys

from fimls.cli import main

if __name__ == "__main__":
    sys.exit(main())
