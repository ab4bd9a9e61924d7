"""Public implementations of the shipped rules, and how each differs from ours."""

from peers import in_heavyball, in_pytorch_optimizer, in_torch

ROWS = [*in_torch.ROWS, *in_pytorch_optimizer.ROWS, *in_heavyball.ROWS]

ALIG = "pytorch_optimizer's AliG adds 1e-6 to ‖G‖², and takes the loss of a closure only."

#: Rules without a row, and why.
UNMATCHED = {
    "adagrad_norm": "No package has it for all tensors together.",
    "adagrad_sqr": "No package has it.",
    "adam_mini": "Public codes need a model with names that they know.",
    "adam_sania": "No package has it; the authors' repository disagrees with itself on ε.",
    "adam_sqr": "No package has it; the authors' codes disagree on ε.",
    "aegd": "No package of ours has it; the authors' code is one of its own.",
    "aegdm": "No package of ours has it; the authors' code is one of its own.",
    "affine_muon": "New here.",
    "alr_hb": "No code found.",
    "alr_smag": "No package has it.",
    "auon": "No package has it; the authors' code does not divide by the norm.",
    "cautious_adamw": "pytorch_optimizer has the mask for Lion, Muon and MARS; compared there.",
    "dog": "No package of ours has it; the authors' code is one of its own.",
    "exponentiated_gradient": "Too short for a package.",
    "frank_wolfe": "No package for torch has it.",
    "gluon": "No code found.",
    "gradient_power_sgd": "No code found.",
    "induced_log_metric": "No package has it.",
    "induced_metric": "No package has it.",
    "kfac": "It needs activations; compared with what its hooks see in a test of its own.",
    "layerwise_dog": "No package of ours has it; the authors' code is one of its own.",
    "madgrad_ema": "The row of a table, not a published algorithm: MADGRAD averages dually.",
    "momo": "No package of ours has it; the authors' code is one of its own.",
    "momo_adam": "No package of ours has it; the authors' code is one of its own.",
    "muadam": "No package has it (μP's MuAdam is another); the published code stops its counter.",
    "muadam_sania": "No package has it; the published branch of this name cannot run.",
    "muonmax": "No package has it.",
    "muonmax_momo": "No package has it.",
    "namo": "No package of ours has it.",
    "normalized_sgd": "No package has it for single tensors.",
    "one_sided_shampoo": "No package has it; the authors' code averages L and rescales the step.",
    "optimistic_amsgrad": "No package has it.",
    "optimistic_sgd": "optax has it, and no package for torch.",
    "polargrad": "No package of ours has it.",
    "polyak_muadam_sania": "New here.",
    "polyak_sgd": ALIG,
    "psgd_kron": "Public codes have none of its exact steps.",
    "rmsspectral": "Published in Lua only.",
    "sps_max": ALIG,
    "sps_smoothed": "No package of ours has it; the authors' code is one of its own.",
    "trust_region_muon": "Scion with other names for its numbers; compared there.",
    "turbo_muon": "The authors' iteration has no exact form; it is a schedule here too.",
}
