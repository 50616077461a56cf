"""``python -I -S .../jobdeck_keeper DATA [--no-cgroup] [--idle-exit-s N]``: run the keeper of a data directory."""

import os
import sys


def _main() -> int:
    # Run as a folder: make that folder importable as the package it is, and nothing beside it by accident. The
    # parent stands last, so that none of its other modules hides one of the standard library.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    sys.path.append(os.path.dirname(here))
    from jobdeck_keeper.keeper import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_main())
