"""Measures askonce beside the bare framework, in one run on one machine: `make bench`."""
