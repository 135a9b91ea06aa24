"""How the page looks: Gradio's theme, and the style sheets of the page and of its components."""

from pathlib import Path

from gradio.themes import Base, Default

_HERE = Path(__file__).parent
STYLE_SHEETS = (_HERE / "theme.css", *sorted((_HERE / "components").glob("*.css")))
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
        link_text_color="*secondary_700",
        link_text_color_hover="*secondary_800",
        link_text_color_visited="*secondary_700",
        link_text_color_active="*secondary_700",
        # The ring of what can be chosen is all that shows it: 3 to 1 at least.
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        slider_color="*primary_600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_600",
    )
