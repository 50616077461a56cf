"""The program of a job out of a package: ``python -I -X utf8 jobdeck_package_runner.py PLAN``.

``sparkjobserver._run`` does it all. This is as short as it can be: a script is compiled at each start.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from sparkjobserver._run import main  # type: ignore[import-not-found]  # is on the path of a job alone

    sys.exit(main(sys.argv[1]))
