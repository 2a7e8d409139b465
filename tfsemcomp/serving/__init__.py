"""Exported models: what is shipped, how it is checked and how it is run."""
