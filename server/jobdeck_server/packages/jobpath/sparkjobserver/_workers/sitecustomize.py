"""Found by pyspark's workers when they start on a machine that has this folder: they load the unpacked pyspark.

Before each task a worker has Python look anew at what is on its path. A zip is read again for each package that has
been imported from it, and Spark's own take 0.4 s then, whatever the task. So they are off the path where they are not
needed. On other machines workers start as they always do.
"""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location

_HERE = os.path.dirname(os.path.abspath(__file__))


def _prefer_unpacked(spark_home: str) -> None:
    spec = spec_from_file_location("_jobdeck_sparkpath", os.path.join(os.path.dirname(_HERE), "_sparkpath.py"))
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if len(module.prefer_unpacked(spark_home)) == len(module.ZIPS):
        begin = os.path.join(spark_home, "")  # a jar of Spark's own is on the path, too, with nothing for Python in it
        sys.path[:] = [path for path in sys.path if not path.startswith(begin)]
        for path in [each for each in sys.path_importer_cache if each.startswith(begin)]:
            del sys.path_importer_cache[path]


def _make_way() -> None:
    """Whoever else has a module of this name is heard, too."""
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _HERE]
    own = sys.modules.pop("sitecustomize")
    try:
        __import__("sitecustomize")
    except ImportError:
        sys.modules["sitecustomize"] = own


if "SPARK_HOME" in os.environ:
    _prefer_unpacked(os.environ["SPARK_HOME"])
_make_way()
