"""A plugin for LlamaHome with a part of almost every kind, to copy from."""
