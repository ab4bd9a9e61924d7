"""Declarations: rules as values; how they are traced, named, shown, stored and changed."""
