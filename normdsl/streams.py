"""The inputs of a declaration, one value per step."""

from __future__ import annotations

from normdsl.nodes import Source, Stream

#: Gradient of the loss at the weights, m×n.
G = Stream(Source.GRADIENT, where=None)
#: Weights before the step, m×n.
W = Stream(Source.WEIGHTS, where=None)
#: Step index, counted from 1.
t = Stream(Source.STEP, where=None)
#: Value of the loss at the weights.
loss = Stream(Source.LOSS, where=None)
#: Number of rows m of the weights (outputs of a linear layer).
rows = Stream(Source.ROWS, where=None)
#: Number of columns n of the weights (inputs of a linear layer).
cols = Stream(Source.COLS, where=None)
