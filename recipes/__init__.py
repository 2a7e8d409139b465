"""Scripts, one a training or evaluation job."""
