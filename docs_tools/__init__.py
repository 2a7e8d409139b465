"""What mkdocs.yml needs beside mkdocs: pages from outside docs/, our docstrings."""
