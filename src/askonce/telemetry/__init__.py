"""What can be seen from outside while askonce runs."""
