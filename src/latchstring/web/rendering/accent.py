"""The deployment's accent colour, made readable: contrast is computed (WCAG 2.2 §1.4.3), never hoped for."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

TEXT_CONTRAST: Final = 4.5
"""The least contrast of text on its background (WCAG 2.2 §1.4.3)."""

# The grounds an accent meets, as latchstring.css paints them (tests hold the two files together).
LIGHT_GROUNDS: Final = ("#ffffff", "#f5f5f2")
DARK_GROUNDS: Final = ("#1d2125", "#14171a")
LIGHT_ON_ACCENT: Final = "#ffffff"
DARK_ON_ACCENT: Final = "#111417"

_STEP: Final = 0.005


@dataclass(frozen=True, slots=True)
class Accent:
    """One scheme's accent and the colour of text upon it, as `#rrggbb`."""

    colour: str
    text: str


@dataclass(frozen=True, slots=True)
class AccentPair:
    """The accent for light pages and the one for dark pages."""

    light: Accent
    dark: Accent


def parse_colour(value: str) -> str:
    """The colour as `#rrggbb`; raises `ValueError` for all but `#rgb` and `#rrggbb`: nothing else reaches the CSS."""
    text = value.strip().lower()
    if re.fullmatch(r"#[0-9a-f]{3}", text):
        return "#" + "".join(digit * 2 for digit in text[1:])
    if re.fullmatch(r"#[0-9a-f]{6}", text):
        return text
    raise ValueError(f"accent colour {value!r} is not a colour; write it as #rrggbb, for example #0f5a73")


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two `#rrggbb` colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def readable_accent(value: str) -> AccentPair:
    """The accent nearest to `value`, its hue kept, that passes as text and under text in both schemes."""
    wanted = parse_colour(value)
    light = _shift_until_readable(wanted, (*LIGHT_GROUNDS, LIGHT_ON_ACCENT), -_STEP)
    dark = _shift_until_readable(wanted, (*DARK_GROUNDS, DARK_ON_ACCENT), _STEP)
    return AccentPair(Accent(light, LIGHT_ON_ACCENT), Accent(dark, DARK_ON_ACCENT))


def _shift_until_readable(colour: str, against: tuple[str, ...], step: float) -> str:
    lightness, chroma, hue = _to_oklch(colour)
    candidate = colour
    while any(contrast(candidate, other) < TEXT_CONTRAST for other in against):
        lightness += step
        if not 0.0 <= lightness <= 1.0:
            return "#000000" if step < 0 else "#ffffff"
        candidate = _from_oklch(lightness, chroma, hue)
    return candidate


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _to_linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _from_linear(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def _luminance(colour: str) -> float:
    red, green, blue = (_to_linear(channel) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _to_oklch(colour: str) -> tuple[float, float, float]:
    red, green, blue = (_to_linear(channel) for channel in _channels(colour))
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    lightness = 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return lightness, math.hypot(a, b), math.atan2(b, a)


def _from_oklch(lightness: float, chroma: float, hue: float) -> str:
    """The colour as `#rrggbb`; chroma is reduced as far as the screen's gamut asks, so that the hue stays."""
    channels = _linear_from_oklch(lightness, chroma, hue)
    while chroma > 0.001 and not all(-0.0005 <= channel <= 1.0005 for channel in channels):
        chroma *= 0.95
        channels = _linear_from_oklch(lightness, chroma, hue)
    return "#" + "".join(f"{round(_from_linear(min(1.0, max(0.0, channel))) * 255):02x}" for channel in channels)


def _linear_from_oklch(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
