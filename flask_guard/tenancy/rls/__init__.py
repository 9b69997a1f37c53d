"""PostgreSQL row-level security: the same rules a second time, in the database itself.

It holds against a filter that was forgotten, not against SQL injection: whoever can run SQL as the application can
say that he is any tenant.
"""
