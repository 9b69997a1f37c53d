"""Who may do what: policies over principals, and how they combine."""
