"""Evaluations: the loss at other points, products with its Hessian, and captured moments."""
