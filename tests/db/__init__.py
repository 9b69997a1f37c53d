"""Tests of what is kept in SQL, on SQLite and on PostgreSQL."""
