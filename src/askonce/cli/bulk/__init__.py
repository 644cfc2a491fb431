"""What `askonce batch` does: reads lines, asks what each of them asks, writes a record of each."""
