"""Drawn images of all seven modalities with the mask of their finding: always labelled "synthetic"."""

from mermed_core.data.phantoms.phantom import (
    FINDINGS,
    NORMAL,
    SYNTHETIC_PREFIX,
    Phantom,
    draw_phantom,
    phantom_manifest,
)

__all__ = ["FINDINGS", "NORMAL", "SYNTHETIC_PREFIX", "Phantom", "draw_phantom", "phantom_manifest"]
