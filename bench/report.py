"""Figures as people and scripts read them."""

from __future__ import annotations

from statistics import median

from msgspec import Struct


class Figure(Struct):
    """One measure: its runs, the bar it must stay under, and the reference of the same run."""

    name: str
    runs: list[float]
    limit: float | None = None
    reference: float | None = None
    unit: str = "s"

    @property
    def value(self) -> float:
        return median(self.runs)

    @property
    def met(self) -> bool:
        return self.limit is None or self.value <= self.limit


def table(figures: list[Figure]) -> str:
    """A Markdown table: median, range, ratio to the reference, bar."""
    lines = ["| measure | median | min–max | × reference | bar | met |", "| --- | --: | --: | --: | --: | --- |"]
    for figure in figures:
        ratio = f"{figure.value / figure.reference:.2f}" if figure.reference else ""
        bar = f"≤ {figure.limit:.2f} {figure.unit}" if figure.limit is not None else ""
        spread = f"{min(figure.runs):.3f}–{max(figure.runs):.3f}"
        met = "" if figure.limit is None else ("yes" if figure.met else "NO")
        lines.append(f"| {figure.name} | {figure.value:.3f} {figure.unit} | {spread} | {ratio} | {bar} | {met} |")
    return "\n".join(lines)
