"""`report.html`: a finished run as a page to hand on."""
