"""What a command fails by."""


class Failed(Exception):
    """What is told, in one sentence. ``code`` and ``field`` are for programs."""

    def __init__(self, message: str, code: str = "failed", field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.field = field
