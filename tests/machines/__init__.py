"""More machines than there are here: what a step takes on them, on paper, from the plans."""
