"""Lowering: declaration → derive → simplify → emit → a torch function."""
