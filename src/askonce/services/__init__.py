"""The product: what askonce does, in terms of core's ports only."""
