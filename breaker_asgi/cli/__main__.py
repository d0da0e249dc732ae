"""`python -m breaker_asgi.cli`."""

from __future__ import annotations

import sys

from breaker_asgi.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
