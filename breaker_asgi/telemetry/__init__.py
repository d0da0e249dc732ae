"""Breakers as metrics: for Prometheus and for OpenTelemetry, whichever is installed."""
