"""An example: a small shop, the payment service it depends on, and a story about the two."""
