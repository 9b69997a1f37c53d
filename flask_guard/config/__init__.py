"""Settings: what can be set, how it is read, and how secrets are kept from being printed."""
