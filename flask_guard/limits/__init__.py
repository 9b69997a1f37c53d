"""How much a request may carry: bytes of the body (`payload`), form of its JSON (`strict_json`)."""
