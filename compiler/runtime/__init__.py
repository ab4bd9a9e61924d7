"""The runtime: steps as pure functions and as a `torch.optim.Optimizer`, planned and explained."""
