"""Integers <-> bits: tables, the range coder, and the check of decoded symbols."""
