"""Every way on which a tenant's data has been seen to leak through SQLAlchemy, tried on a model of the user's."""
