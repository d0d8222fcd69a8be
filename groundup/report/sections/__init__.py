"""The chapters of the page, one file each, which ends with its `Chapter`; `page.CHAPTERS` has their order."""
