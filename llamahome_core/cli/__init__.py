"""The command line: lists everything, imports only what runs."""

from __future__ import annotations

from llamahome_core.cli.main import main, program

__all__ = ["main", "program"]
