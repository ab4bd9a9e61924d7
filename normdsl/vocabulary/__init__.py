"""The vocabulary: what authors of rules write besides norms and operators."""
