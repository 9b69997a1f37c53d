"""What is kept in a SQL database: Guard's own tables, how they come to be, and the stores that use them."""
