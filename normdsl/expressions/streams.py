"""The inputs of a declaration, one value per step."""

from __future__ import annotations

from normdsl.expressions.nodes import Source, Stream

#: Gradient of the loss at the weights, m×n.
G = Stream(Source.GRADIENT, where=None)
#: Weights before the step, m×n.
W = Stream(Source.WEIGHTS, where=None)
#: Step index, counted from 1.
t = Stream(Source.STEP, where=None)
#: Value of the loss at the weights.
loss = Stream(Source.LOSS, where=None)
#: Second moment E[x xᵀ] of the inputs of the layer y = W x at this step, n×n: what a capture saw.
input_moment = Stream(Source.INPUT_MOMENT, where=None)
#: Second moment E[g gᵀ] of the gradients g with respect to the layer's outputs y, m×m.
output_moment = Stream(Source.OUTPUT_MOMENT, where=None)
#: Number of rows m of the weights (outputs of a linear layer).
rows = Stream(Source.ROWS, where=None)
#: Number of columns n of the weights (inputs of a linear layer).
cols = Stream(Source.COLS, where=None)

#: The moments of a layer, by the names that a step takes them under.
MOMENTS = {Source.INPUT_MOMENT: "input_moment", Source.OUTPUT_MOMENT: "output_moment"}


def called(source: Source, parameter: str) -> str:
    """Return the name by which a step takes a stream of one of several parameters: A_W, A_G."""
    return f"{parameter}_{source.value}"
