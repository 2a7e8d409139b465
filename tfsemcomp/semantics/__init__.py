"""From pixels to meaning: ROI maps, edges and captions, and later label maps."""
