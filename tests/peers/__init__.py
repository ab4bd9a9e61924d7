"""Public implementations of the shipped rules, and how each differs from ours."""

from peers import in_heavyball, in_pytorch_optimizer, in_torch

ROWS = [*in_torch.ROWS, *in_pytorch_optimizer.ROWS, *in_heavyball.ROWS]

#: Rules without a row, and why.
UNMATCHED = {
    "adam_sania": "No package has it; the authors' repository disagrees with itself on ε.",
    "affine_muon": "New here.",
    "kfac": "It needs activations; compared with what its hooks see in a test of its own.",
    "madgrad_ema": "The row of a table, not a published algorithm: MADGRAD averages dually.",
    "muadam": "No package has it (μP's MuAdam is another); the published code stops its counter.",
    "muadam_sania": "No package has it; the published branch of this name cannot run.",
    "normalized_sgd": "No package has it for single tensors.",
    "one_sided_shampoo": "No package has it; the authors' code averages L and rescales the step.",
    "polyak_muadam_sania": "New here.",
    "rmsspectral": "Published in Lua only.",
}
