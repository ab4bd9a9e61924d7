"""Schedules: by which methods a rule is computed, in which precision, how often."""
