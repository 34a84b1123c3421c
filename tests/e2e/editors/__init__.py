"""Real editors for the end-to-end tests: how they get here, and how they are driven."""
