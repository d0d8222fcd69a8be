"""The chapters of the page, one file each: `name(report) -> Node`, in the order of `page.CHAPTERS`."""
