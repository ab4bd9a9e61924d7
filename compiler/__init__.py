"""The compiler: invariance checking, lowering to torch, kernels and the runtime."""
