"""Stands in for Java: tells port and secret of a gateway that is none, and goes on until its standard input ends.

python javas.py [HOW]   with HOW one of

    crash-with-archive   dies by SIGSEGV if there is a word of an archive among the arguments
    crash                dies by SIGKILL once its gateway is told
    deaf                 never ends by itself
    silent               tells nothing
    nonsense             tells what is no port
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import time


def main(how: str) -> None:
    if "crash-with-archive" in how and "SharedArchiveFile" in how:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "silent" in how:
        time.sleep(60)
    path = os.environ["_PYSPARK_DRIVER_CONN_INFO_PATH"]
    secret = b"a secret"
    with open(f"{path}.new", "wb") as file:
        file.write(b"xy" if "nonsense" in how else struct.pack(">ii", 4242, len(secret)) + secret)
    os.rename(f"{path}.new", path)
    if how.endswith(" crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    while "deaf" in how or os.read(0, 4096):
        time.sleep(0.01)


if __name__ == "__main__":
    main(" ".join(sys.argv))
