"""A plugin for LlamaHome: the data source `shout`."""
