"""Interface text, compatibility checks, stub generation and the command line."""
