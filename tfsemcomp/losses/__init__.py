"""What training minimises: pure functions on tensors, each with its source."""
