"""From pixels to meaning: ROI maps, and later edges, label maps and captions."""
