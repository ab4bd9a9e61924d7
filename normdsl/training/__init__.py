"""Small tasks to train rules on: data, models, runs."""
