"""Each rule of docs/security.md is taken out, and its test has to fail."""
