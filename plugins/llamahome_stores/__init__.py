"""Stores: folders of files that must not vanish."""
