"""Caches: bytes by key, that may vanish at any time."""
