"""What the pages with tables share: filters in the address, pages by cursor, spans of time, forms, files to take away."""
