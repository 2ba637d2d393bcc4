"""Figures as people and scripts read them."""

from __future__ import annotations

from statistics import median

from msgspec import Struct, field


class Figure(Struct):
    """One measure: its runs in seconds, the bar it must stay under, and the reference of the same run."""

    name: str
    runs_s: list[float]
    limit_s: float | None = None
    reference_s: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def value_s(self) -> float:
        return median(self.runs_s)

    @property
    def met(self) -> bool:
        return self.limit_s is None or self.value_s <= self.limit_s


def table(figures: list[Figure]) -> str:
    """A Markdown table: median, range, ratio to the reference, bar."""
    lines = ["| measure | median | min–max | × plain | bar | met |", "| --- | --: | --: | --: | --: | --- |"]
    for figure in figures:
        ratio = f"{figure.value_s / figure.reference_s:.2f}" if figure.reference_s else ""
        bar = f"≤ {figure.limit_s:.2f} s" if figure.limit_s is not None else ""
        spread = f"{min(figure.runs_s):.3f}–{max(figure.runs_s):.3f}"
        met = "" if figure.limit_s is None else ("yes" if figure.met else "NO")
        lines.append(f"| {figure.name} | {figure.value_s:.3f} s | {spread} | {ratio} | {bar} | {met} |")
    return "\n".join(lines)
