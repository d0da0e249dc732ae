"""What a guarded call costs, against a bare one and other libraries."""
