"""Tests of rules and plans, over real Flask applications and without a Guard."""
