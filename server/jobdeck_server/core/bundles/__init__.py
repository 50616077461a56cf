"""The files of a job: unpacked before it runs, and found again when it has ended. Blocking, for threads; no event loop.

limits    what may be how large
errors    what can be wrong, each with a sentence for the user
config    executor_config.json
globs     which files an artifact takes: its patterns; beneath it braces, globparse, globregex and globsteps
unpack    a zip, or an artifact's files, into a folder
zipread   the list at the end of a zip, read with suspicion
names     which paths may be written, and whether two of them would meet
place     files written below a folder, never outside it
copying   bytes from file to file
walk      what a job left in its folder, whatever it made of it
"""
