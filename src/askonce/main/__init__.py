"""The composition root: builds everything from Settings, and decides nothing."""
