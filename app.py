"""Serves the explorer: `python app.py`, which is also what Hugging Face Spaces runs."""

import sys

from app.ui import serve

if __name__ == "__main__":
    sys.exit(serve())
