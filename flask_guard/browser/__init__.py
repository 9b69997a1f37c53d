"""What browsers are told and asked: the security headers of every answer (`headers`)."""
