"""Monitors: what shows a run's events, or hands them on. Each lives in a process of its own."""
