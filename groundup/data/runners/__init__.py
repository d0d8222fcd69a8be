"""Runners: who reads a source and runs the steps over its documents: this process, several, or Ray.
The result is the same, to the byte.

runner             the runners, and a source as parts: begin here
document_batches   what any process does with a part, and what comes back: documents, and reports
                   of the files that are done
processes          a pool of processes on this machine; Ray Data, on one machine or many (extra
                   `ray`)
"""
