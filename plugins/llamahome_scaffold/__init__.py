"""LlamaHome's plugin that writes new things: plugins, recipes, recipes from other tools."""
