"""Native code of entry-wise programs: one kernel reads and writes each tensor of a bucket once."""
