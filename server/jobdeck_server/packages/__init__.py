"""Jobs out of packages: Python classes in wheels and eggs, as clients of Spark JobServer start them.

plan      what a job's interpreter is told before it starts, and where
validated the wait for its word on whether it takes its configuration
outcome   what it left, read with suspicion, and what the job's end makes of it
jobpath/  what stands on the path of such a job: no part of jobdeck, and never imported by it
"""
