"""Real servers for tests, each from an address in the environment, a wheel or the system, once a run."""
