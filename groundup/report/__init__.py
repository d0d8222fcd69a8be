"""The report: one self-contained HTML page about a build folder or a single run folder.

    report_data.read_report_data(folder)  ->  ReportData (missing files are empty)  ->  sections/*
                                          ->  pages.build_page.render_page(report)

In: JSON and JSON-lines files that earlier stages wrote. No model is opened and torch is not
imported: attention maps and sample answers were computed by `lab` and `evaluate`. Out: one file
without scripts, fonts or external addresses, which opens from disk. `inspection_page` draws the
sources of `groundup data inspect` with the same parts (`source_parts`) as the build's first
chapter. `live/` follows runs that are still training, for the page of `groundup watch`. Begin
reading with `pages/build_page.py`.
"""
