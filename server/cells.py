"""Values as a spreadsheet takes them unharmed."""


def cell(value: object) -> object:
    """Return *value* so that no spreadsheet takes it for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
