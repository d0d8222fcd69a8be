"""The Python surface: what `import groundup` hands out (`public`), a file for each group of
functions."""
