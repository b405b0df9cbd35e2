"""The gateway served alone: its worker processes, and the port for who watches them."""
