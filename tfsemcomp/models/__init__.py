"""Keras models: pixels to latents or maps, with their losses and train steps."""
