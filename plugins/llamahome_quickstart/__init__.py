"""The packaged quickstart: a small model learns what LlamaHome is."""
