"""The one fit loop, with strategy, precision, resume and averaging of weights."""
