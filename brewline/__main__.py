"""The command `brewline`, and `python -m brewline`."""

from __future__ import annotations

import sys


def main() -> None:
    """Ctrl-C leaves no traceback either while all is loaded, which takes a second."""
    try:
        from brewline.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
