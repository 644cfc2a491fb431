"""Asks a spec's prompts through the client, scores what comes back, and compares runs."""
