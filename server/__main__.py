"""`python -m server` is `alpr-server`."""

from server.cli import main

main()
