"""Asks for LlamaHome's testing kit."""

from __future__ import annotations

pytest_plugins = "llamahome_core.testing"
