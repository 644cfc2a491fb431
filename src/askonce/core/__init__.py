"""Values, rules, errors and ports: what askonce is, without any framework."""
