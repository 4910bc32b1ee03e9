"""`python -m signetrpc.idl.cli`: the same as `signet`."""

from . import main

main()
