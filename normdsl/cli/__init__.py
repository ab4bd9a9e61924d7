"""The command line: list, show, check, source, train and tour."""
