"""The report: finished runs of one comparison become a page to read and tables to compute with."""
