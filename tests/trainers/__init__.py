"""Trainers of others drive our optimizers: Lightning, accelerate, transformers, torch.amp."""
