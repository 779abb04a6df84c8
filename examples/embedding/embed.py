"""Run a recipe inside another program: python embed.py RECIPE [STEPS]."""

from __future__ import annotations

import signal
import sys
import threading

from llamahome_core import Kernel, LlamaHomeError, Stop


def main() -> int:
    """Run the recipe; a watchdog stops it cleanly after an hour, and Ctrl-C does at once."""
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 20  # noqa: PLR2004  # the script's name is one
    stop = Stop()
    signal.signal(signal.SIGINT, lambda number, _: stop.request(number))
    watchdog = threading.Timer(3600, stop.request)
    watchdog.daemon = True
    watchdog.start()
    kernel = Kernel()
    try:
        outcome = kernel.run(sys.argv[1], parameters={"train": {"steps": steps}}, stop=stop)
    except LlamaHomeError as error:  # a wrong recipe; nothing was written
        print(error, file=sys.stderr)
        return error.exit_code
    finally:
        watchdog.cancel()
    print(outcome.status, outcome.directory, outcome.metrics)
    if outcome.version is not None:
        print(outcome.version.label, outcome.version.files["merged"])
    return 0 if outcome.status == "finished" else 1


if __name__ == "__main__":
    sys.exit(main())
