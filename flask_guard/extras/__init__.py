"""Code that needs an optional library, one file each, named after the extra that installs it."""
