"""Layouts: how a parameter is seen, what steps it, and where its entries are."""
