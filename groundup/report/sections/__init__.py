"""The chapters of the page, one file each: `name(story) -> Node`. Read in the order of `page.CHAPTERS`."""
