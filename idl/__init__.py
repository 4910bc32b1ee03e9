"""Interface text, compatibility checks, stub generation and the command line."""

__all__: list[str] = []
