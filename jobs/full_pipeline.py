"""The whole pipeline as a script, for `ray job submit -- python jobs/full_pipeline.py [PRESET] [flags]`.

The same as `pading run`. Run as a script, so the folder above must be importable: the submitted code is what runs.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # not jobs/, whose modules would hide others

    from jobs.__main__ import main

    raise SystemExit(main(["run", *sys.argv[1:]]))
