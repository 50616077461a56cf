"""The files of a job: unpacked before it runs, and found again when it has ended. Blocking, for threads; no event loop.

limits    what may be how large
errors    what can be wrong, each with a sentence for the user
globs     which files an artifact takes: the patterns of ``executor_config.json``
config    that file itself
names     which paths may be written, and whether two of them would meet
zipread   the list at the end of a zip, read with suspicion
place     files written below a folder, never outside it
unpack    a zip, or an artifact's files, into a folder
walk      what a job left in its folder, whatever it made of it
"""
