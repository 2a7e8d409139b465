"""Measuring codecs: rate sweeps, result tables, the report page, the MSROI records."""
