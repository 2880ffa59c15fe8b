"""What films call until they are renamed."""


def available_memory(side_by_side: int) -> int:
    """How many paintings share it."""
    return side_by_side
