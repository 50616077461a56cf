"""``jobdeck`` with the stand-in as the program of contexts on Spark: ``python -m tests.server.spark.standserver``."""

from __future__ import annotations

from pathlib import Path

from jobdeck_server.spark import launch
from jobdeck_tui.main import main

launch._PROGRAM = Path(__file__).with_name("standin.py")

if __name__ == "__main__":
    main()
