"""The monitor's page."""
