"""Data: sources of rows, and the stage that turns rows into steps of tokens."""
