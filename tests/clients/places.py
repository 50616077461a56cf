"""Where the tests of the published clients find their scripts and the packages that ``prepare`` has brought.

And under which name they record what is to be told at the end.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = HERE.parent.parent / "build" / "clients"
TOLD = "told"
