"""`python -m brewline` is the command `brewline`."""

from brewline.cli import main

main()
