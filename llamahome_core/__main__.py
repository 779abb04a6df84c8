"""``python -m llamahome_core`` is ``llamahome``."""

from __future__ import annotations

from llamahome_core.cli import program

if __name__ == "__main__":
    program()
