"""One module for each thing that is measured: puts loads on servers and returns a section."""
