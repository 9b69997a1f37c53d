"""How a presented credential becomes a principal: bearer tokens, API keys, client keys."""
