"""Routing: a rule and a view for every parameter of a model, by role."""
