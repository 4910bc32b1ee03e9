"""Remote calls over a secured transport: decorators, client and server."""
