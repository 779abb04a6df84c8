"""Models: where they come from, conversations as tokens, decoding, published versions."""
