"""The colours of the pages by their names, in light and in dark: one place for page and figures.

One accent colour, and it always means the student. The control is grey, the teacher is ink.
"""

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "accent": "#0b6a75",
    "accent-soft": "#e3f0f1",
    "ink": "#1b2530",
    "text": "#36424e",
    "muted": "#5c6874",
    "control": "#7f8a96",
    "line": "#dfe4e8",
    "surface": "#f6f8f9",
    "paper": "#ffffff",
    "tint-1": "#5c9ea6",
    "tint-2": "#a9cfd3",
    "tint-3": "#66727f",
    "tint-4": "#a3adb6",
}
DARK: Mapping[str, str] = {
    "accent": "#5cc3cd",
    "accent-soft": "#17343a",
    "ink": "#f1f4f6",
    "text": "#c8d0d8",
    "muted": "#9ba7b3",
    "control": "#8792a0",
    "line": "#323c46",
    "surface": "#1b222a",
    "paper": "#13181e",
    "tint-1": "#3b8992",
    "tint-2": "#285a61",
    "tint-3": "#8b97a3",
    "tint-4": "#56616d",
}
WORDS = ("accent", "ink", "text", "muted")
"""Colours that text is written in."""
GROUNDS = ("paper", "surface", "accent-soft")
"""Colours that text stands on."""
MARKS = ("accent", "ink", "control")
"""Colours of lines and marks that tell networks apart."""


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two hex colours, from 1 to 21.

    Paper:
        Web Content Accessibility Guidelines 2.2, "contrast ratio" and "relative luminance".

    >>> contrast("#000000", "#ffffff"), round(contrast("#777777", "#ffffff"), 2)
    (21.0, 4.48)
    """
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def rules() -> str:
    """Both palettes as rules of a page: dark where the reader prefers it, light on paper.

    >>> rules().count("--accent:")
    3
    """
    light, dark = (_properties(palette) for palette in (LIGHT, DARK))
    return (
        f":root {{\n{light}}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}}}\n}}\n"
        f"@media print {{\n:root {{\n{light}}}\n}}\n"
    )


def _properties(palette: Mapping[str, str]) -> str:
    return "".join(f"  --{name}: {value};\n" for name, value in palette.items())
