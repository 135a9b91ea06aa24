"""Grey values of any range to 0..255: windows, tables and stretches."""

import numpy as np

STRETCH_PERCENTILES = (0.5, 99.5)


def stretch_to_bytes(values: np.ndarray) -> np.ndarray:
    """Stretches values of any shape and type from their 0.5th to their 99.5th percentile to uint8.

    What is not finite becomes black; a constant image becomes black.
    """
    low, high = stretch_ends(values)
    return scale_to_bytes(np.where(np.isfinite(values), values, low), low, high)


def stretch_ends(values: np.ndarray) -> tuple[float, float]:
    """Returns between which values `stretch_to_bytes` stretches; twice 0 where nothing is finite."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 0.0
    low, high = np.percentile(finite, STRETCH_PERCENTILES)
    if low == high:  # nearly constant: a few pixels may still differ
        low, high = finite.min(), finite.max()
    return float(low), float(high)


def scale_to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Maps low..high to 0..255, clips the rest, and gives 0 for NaN or where low equals high."""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    shares = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        shares -= low
        shares *= 255 / (high - low)
    np.clip(shares, 0, 255, out=shares)
    return np.rint(np.nan_to_num(shares, copy=False, nan=0.0), out=shares).astype(np.uint8)


def window_to_bytes(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Applies a grey-scale window to values (height, width) and returns uint8.

    Args:
        values: grey values after rescaling, such as Hounsfield units.
        centre: in the unit of the values.
        width: positive, in the unit of the values; at least 1 for LINEAR.
        function: LINEAR, LINEAR_EXACT or SIGMOID; any other name counts as LINEAR.

    Source: DICOM PS3.3, C.11.2.1.2.1 (linear), C.11.2.1.3.1 (sigmoid), C.11.2.1.3.2 (linear exact).
    """
    if function == "SIGMOID":
        return scale_to_bytes(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))), 0, 1)
    if function == "LINEAR_EXACT":
        return scale_to_bytes(values, centre - width / 2, centre + width / 2)
    low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    return scale_to_bytes(values, low, high) if width > 1 else np.where(values > low, 255, 0).astype(np.uint8)


def look_up(values: np.ndarray, first: int, table: np.ndarray) -> np.ndarray:
    """Returns the entry of a table for each value; its first entry stands for `first` and all below.

    Source: DICOM PS3.3, C.11.1.1 and C.11.2.1.1.
    """
    positions = np.clip(np.rint(np.nan_to_num(values, nan=first)) - first, 0, len(table) - 1)
    return table[positions.astype(np.intp)]
