"""`python -m lpmx_runtime` is the command `lpmx`."""
import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
