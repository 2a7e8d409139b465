"""From pixels to meaning: ROI maps, edges, and later label maps and captions."""
