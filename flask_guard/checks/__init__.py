"""The checklist: what a running application should not be deployed with."""
