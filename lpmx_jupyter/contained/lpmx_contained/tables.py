"""What `%lpmx` gives back: values that show themselves as tables, and as plain text."""
import html
from typing import Any, Dict, List, Sequence

_LEFT = "style='text-align:left'"


def _text(value: Any) -> str:
    if value is None:
        return "(unset)"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "-"
    return str(value)


def _row(tag: str, cells: Sequence[str]) -> str:
    return "".join(f"<{tag} {_LEFT}>{html.escape(cell)}</{tag}>" for cell in cells)


class Table(Dict[str, Any]):
    """A dictionary that shows itself as a table."""

    empty = "nothing"

    def __repr__(self) -> str:
        if not self:
            return self.empty
        width = max(map(len, self))
        return "\n".join(f"{name:<{width}}  {_text(value)}" for name, value in self.items())

    def _repr_html_(self) -> str:
        if not self:
            return html.escape(self.empty)
        rows = "".join(f"<tr>{_row('th', [name])}{_row('td', [_text(value)])}</tr>"
                       for name, value in self.items())
        return f"<table>{rows}</table>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


class Variables(Table):
    """Live variables."""

    empty = "no variable was changed while the container ran"


class Rows(List[Dict[str, Any]]):
    """A list of dictionaries, all with the same keys, that shows itself as a table."""

    def __init__(self, rows: Sequence[Dict[str, Any]], columns: Sequence[str],
                 empty: str = "nothing") -> None:
        super().__init__(rows)
        self.columns = list(columns)
        self.empty = empty

    def _cells(self) -> List[List[str]]:
        return [[_text(row.get(column)) for column in self.columns] for row in self]

    def __repr__(self) -> str:
        if not self:
            return self.empty
        lines = [[column.upper() for column in self.columns], *self._cells()]
        widths = [max(map(len, cells)) for cells in zip(*lines)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                         for line in lines)

    def _repr_html_(self) -> str:
        if not self:
            return html.escape(self.empty)
        rows = "".join(f"<tr>{_row('td', cells)}</tr>" for cells in self._cells())
        return f"<table><tr>{_row('th', self.columns)}</tr>{rows}</table>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))
