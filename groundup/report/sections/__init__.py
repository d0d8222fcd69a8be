"""The chapters of the page, one file each, which ends with its `Chapter`; `page.chapters_of` has
their order.
"""
