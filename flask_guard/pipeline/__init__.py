"""What happens to a request: the rules of its route, compiled to a plan, walked step by step."""
