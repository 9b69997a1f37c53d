"""Keys and what is done with them; no knowledge of requests, tokens' claims or settings."""
