"""The command line: lists everything, imports only what runs."""

from __future__ import annotations

try:
    from llamahome_core.cli.main import main, program
except KeyboardInterrupt:  # as quiet as it is once the command runs
    raise SystemExit(130) from None

__all__ = ["main", "program"]
