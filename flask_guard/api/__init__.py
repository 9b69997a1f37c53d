"""The bundled endpoints, one file each: thin views over what the concerns know."""
