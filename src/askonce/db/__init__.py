"""The only SQL: one engine, one repository per subject, one writer."""
