"""Kernels: plain torch functions on batches of matrices, pasted into the code that is emitted."""
