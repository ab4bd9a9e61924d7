"""The runtime: emitted steps as pure functions and as a `torch.optim.Optimizer`."""
