"""The network: who calls us, and how we call others."""
