"""Scripts that make, check and inspect TFRecords."""
