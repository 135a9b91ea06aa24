"""How the page looks: theme, style sheet and the scripts of its components."""

from pathlib import Path

from gradio.themes import Base, Default

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "style"
STYLE_SHEET = FOLDER / "app.css"
# The system's own fonts: nothing is fetched from another host.
_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> Base:
    """Returns the theme, light and dark."""
    return Default(
        primary_hue="teal",
        secondary_hue="cyan",
        neutral_hue="slate",
        radius_size="md",
        font=_FONT,
        font_mono=_MONO,
    ).set(
        # Darker than the defaults, whose contrast on white is below 4.5 to 1.
        body_text_color_subdued="*neutral_500",
        color_accent="*primary_600",
        slider_color="*primary_600",
    )


def script(name: str) -> str:
    """Returns a component's script."""
    return (FOLDER / name).read_text(encoding="utf-8")
