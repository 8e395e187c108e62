"""Drawing on images, plots, and pages of HTML."""
