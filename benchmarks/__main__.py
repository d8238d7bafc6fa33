"""`python -m benchmarks NAME` prints a table and, last, one JSON line: benchmark, ratio, ours, peer."""

import importlib
import sys
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    """Run the benchmark that the command line names."""
    arguments = sys.argv[1:]
    if arguments == ["--list"]:
        print("\n".join(NAMES))
        return 0
    if not arguments or arguments[0] not in NAMES:
        print(f"usage: python -m benchmarks NAME [OPTIONS], NAME one of: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    importlib.import_module(f"benchmarks.{arguments[0]}").main()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
