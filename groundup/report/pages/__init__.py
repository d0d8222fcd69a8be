"""The pages: of a build, of an inspection, of windows, of tokenizers.

In: values that were written into folders. Out: one HTML file each. Begin with build_page.py.
"""
