"""MerMED-FM Explorer: one foundation model for seven medical imaging modalities.

Start with `mermed_core.inference.predictor.Predictor`. The command line is `mermed` (`mermed_core.cli`).
"""

__version__ = "0.2.0"
