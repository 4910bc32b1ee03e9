"""Services whose clients are generated; the `_client` modules are the results."""
