"""Which tenant is meant, and (where data is stored) that nothing crosses from one to another."""
