"""A project as users have them, built into a real wheel and a real egg by the tools that users build them with."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

NAME = "example_jobs"
VERSION = "1.4.2"
BINARY_OUTPUT = bytes(range(256)) * 64

_FILES = {
    "pyproject.toml": f"""\
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "{NAME}"
        version = "{VERSION}"
        """,
    "setup.py": f"""\
        from setuptools import setup

        setup(name="{NAME}", version="{VERSION}", packages=["{NAME}"], zip_safe=True)
        """,
    f"{NAME}/__init__.py": "",
    f"{NAME}/words.py": '''\
        """What the jobs share: modules of a package find each other."""


        def count(words):
            found = {}
            for word in words:
                found[word] = found.get(word, 0) + 1
            return found
        ''',
    f"{NAME}/word_count.py": """\
        from sparkjobserver.api import SparkJob, build_problems

        from example_jobs.words import count


        class WordCount(SparkJob):
            def validate(self, context, runtime, config):
                words = config.get("input.strings", None)
                if words:
                    return words
                return build_problems(["config input.strings not found", "nothing to count"])

            def run_job(self, context, runtime, data):
                print("counting", len(data), "words in", context.name, flush=True)
                return count(data)


        class WordCountOfText(WordCount):
            # The document's example posts one text
            def validate(self, context, runtime, config):
                text = config.get("input.string", None)
                return text.split() if text else build_problems(["No input.string config param"])
        """,
    f"{NAME}/kinds.py": """\
        import os
        import sys
        import time

        from sparkjobserver.api import SparkJob, Stream


        class Plain(SparkJob):
            def validate(self, context, runtime, config):
                return config

            def run_job(self, context, runtime, config):
                return [2, 4, 6]


        class Long(Plain):
            # Goes on until it is told to stop by a file, or for config `seconds`
            def run_job(self, context, runtime, config):
                until = time.monotonic() + float(config.get("seconds", 1000))
                number = 0
                while time.monotonic() < until and not os.path.exists(config.get("flag", "/nonexistent")):
                    number += 1
                    runtime.progress(min(1, number / 100), "step %d" % number)
                    print("step", number, flush=True)
                    time.sleep(0.02)
                return number


        class Failing(Plain):
            def run_job(self, context, runtime, config):
                raise ValueError("this one always fails: \\u00e4\\u4e16")


        class FailingToValidate(Plain):
            def validate(self, context, runtime, config):
                raise RuntimeError("cannot even look")


        class Binary(Plain):
            def run_job(self, context, runtime, config):
                sys.stdout.buffer.write(bytes(range(256)) * 64)
                return "said"


        class Huge(Plain):
            def run_job(self, context, runtime, config):
                return list(range(int(config.get("count"))))


        class Streaming(Plain):
            def run_job(self, context, runtime, config):
                return Stream(self.pieces(int(config.get("count"))))

            def pieces(self, count):
                yield "["
                for n in range(count):
                    yield ("," if n else "") + str(n)
                yield "]"


        class Environment(Plain):
            def run_job(self, context, runtime, config):
                return {
                    "job": runtime.jobId,
                    "context": context.name,
                    "cores": runtime.contextConfig.get("num-cpu-cores", None),
                    "names": sorted(os.environ),
                    "folder": os.listdir("."),
                }
        """,
}


def build(folder: Path) -> tuple[Path, Path]:
    """Build it.

    Returns:
        The wheel and the egg.
    """
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    for command in (
        ["-m", "hatchling", "build", "-t", "wheel", "-d", "out"],
        ["setup.py", "-q", "bdist_egg", "-d", "out"],
    ):
        subprocess.run(
            [sys.executable, *command], cwd=folder, env=environment, check=True, capture_output=True, timeout=50
        )
    (wheel,) = (folder / "out").glob("*.whl")
    (egg,) = (folder / "out").glob("*.egg")
    return wheel, egg
