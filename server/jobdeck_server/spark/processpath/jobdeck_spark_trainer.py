"""The program that makes a class-data archive: ``python -I -S jobdeck_spark_trainer.py FOLDER``.

``sparkprocess.training`` does it all.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from sparkprocess.training import main  # type: ignore[import-not-found]  # is on the path of this program alone

    sys.exit(main(sys.argv[1]))
