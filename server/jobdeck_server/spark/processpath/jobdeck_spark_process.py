"""The program of a Spark context: ``python -I -S jobdeck_spark_process.py FOLDER``.

``sparkprocess.program`` does it all; this is as short as it can be, since a script is compiled at each start. It needs
nothing but the standard library, and py4j out of Spark's own folder.

By hand, in a checkout, with Spark in ``build/spark/site/pyspark``:

    python - FOLDER build/spark/site/pyspark <<END
    import sys, trio
    from pathlib import Path
    from jobdeck_server.spark import install, launch
    folder, spark_home = map(Path, sys.argv[1:])
    found = trio.run(install.Finder(spark_home=spark_home).find)
    launch.write_plan(folder, found, launch.Launch())
    print(*launch.process_command(folder))
    END

prints the command that runs it. Then, on its socket (``sparkprocess.requests`` has them all), one line each:

    socat - UNIX-CONNECT:FOLDER/control.sock
    {"op": "make", "context": "c1", "name": "by hand", "conf": {"spark.master": "local[2]"}, "jars": []}
    {"op": "status"}
    {"op": "stop"}
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from sparkprocess.program import main  # type: ignore[import-not-found]  # is on the path of this program alone

    sys.exit(main(sys.argv[1]))
