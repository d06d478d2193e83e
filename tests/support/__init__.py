"""What the black-box tests share: bytes in, rows and bytes out, nothing of the program's inside."""
