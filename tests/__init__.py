"""The tests. A package, so that shared fixtures are imported under one name, `tests.services.…`."""
