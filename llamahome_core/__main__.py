"""``python -m llamahome_core`` is ``llamahome``."""

from __future__ import annotations

from llamahome_core.cli import main

if __name__ == "__main__":
    main(prog_name="llamahome")
