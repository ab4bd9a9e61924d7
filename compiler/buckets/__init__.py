"""Buckets: parameters that step together, by native code or by torch's operations."""
