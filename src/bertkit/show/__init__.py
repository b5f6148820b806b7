"""What people see: on a terminal, in a notebook, as plain lines."""
