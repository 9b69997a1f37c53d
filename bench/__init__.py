"""What flask_guard costs, next to other libraries and next to code that could hardly be faster.

`python -m bench` from the repository root, in an environment made from requirements/bench.txt;
`make bench` does both. docs/ideas/speed.md says how to read the tables.
"""
