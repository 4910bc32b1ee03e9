"""Settings of servers and channels: what would let no call through is refused."""

__all__ = ["checked_positive"]


def checked_positive(**settings: float) -> None:
    """See that numbers are over zero.

    Args:
        settings: Each by the name that its user knows it by.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in settings.items():
        if not value > 0:  # NaN neither
            raise ValueError(f"{name} is {value}; it must be over 0")
