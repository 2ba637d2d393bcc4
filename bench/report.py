"""Figures as people and scripts read them."""

from __future__ import annotations

from statistics import median

from msgspec import Struct


class Figure(Struct):
    """One measure: its runs, the bar it must stay under (`limit`) or reach (`floor`), and the reference of the same
    run."""

    name: str
    runs: list[float]
    limit: float | None = None
    reference: float | None = None
    unit: str = "s"
    floor: float | None = None

    @property
    def value(self) -> float:
        return median(self.runs)

    @property
    def met(self) -> bool:
        return (self.limit is None or self.value <= self.limit) and (self.floor is None or self.value >= self.floor)

    @property
    def bar(self) -> str:
        """As people read it; empty where anything goes."""
        if self.floor is not None:
            return f"≥ {self.floor:.2f} {self.unit}"
        return f"≤ {self.limit:.2f} {self.unit}" if self.limit is not None else ""


def table(figures: list[Figure]) -> str:
    """A Markdown table: median, range, ratio to the reference, bar."""
    lines = ["| measure | median | min–max | × reference | bar | met |", "| --- | --: | --: | --: | --: | --- |"]
    for figure in figures:
        ratio = f"{figure.value / figure.reference:.2f}" if figure.reference else ""
        spread = f"{min(figure.runs):.3f}–{max(figure.runs):.3f}"
        met = ("yes" if figure.met else "NO") if figure.bar else ""
        lines.append(
            f"| {figure.name} | {figure.value:.3f} {figure.unit} | {spread} | {ratio} | {figure.bar} | {met} |"
        )
    return "\n".join(lines)
