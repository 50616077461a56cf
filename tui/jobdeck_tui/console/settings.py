"""Limits and paces of the console, each with its unit in its name."""

from __future__ import annotations

KIB = 1024

PAINT_INTERVAL_S = 0.04
"""State changes are shown at most this often: two hundred changes a second are twenty-five pictures."""
TICK_S = 1.0
"""How often ages and durations are told anew."""

ROWS_PAGE_COUNT = 200
"""Jobs in one page of the list."""
ROWS_LIMIT_COUNT = 2000
"""Jobs of the list that are held; what is further away is fetched again when it is scrolled to."""
ROWS_AHEAD_COUNT = 100
"""How near the end of the rows held one may come before further ones are fetched."""
PREVIEW_WAIT_S = 0.12
"""How long the cursor stays on a job before its output is shown beside the list."""
FILTER_LIMIT_LENGTH = 200
FILTER_WAIT_S = 0.15
"""How long a filter stands before it is asked for while it is typed."""
FEW_EVERY_S = 2.0
"""How often workers, contexts and packages are read anew while they are seen: not all of them is told by events."""
FEW_JOBS_COUNT = 50
"""Jobs of one of them that are shown beside the list."""
DEAD_CONTEXTS_COUNT = 20
"""Contexts that died and stay on the list."""
SKEW_TOLD_S = 2.0
"""A clock that is less wrong is not worth a word."""
EMPTY_PAGES_LIMIT_COUNT = 40
"""Pages without a hit that a text filter follows before it asks whether to go on."""

LINES_PAGE_COUNT = 256
LINES_PAGES_LIMIT_COUNT = 64
"""Pages of a log that are held: some sixteen thousand lines."""
LINES_HELD_LIMIT_BYTES = 8 * KIB * KIB
"""Of their text, where lines are long."""
LINES_ASKED_LIMIT_COUNT = 8
LINE_CAP_BYTES = 4 * KIB
"""What is held of one line; the rest of a longer one is fetched when it is looked at."""
HITS_LIMIT_COUNT = 1000
"""Hits of a search that are counted; the next one is found however many there are."""
SEARCH_WAIT_S = 0.25
"""How long a pattern stands before it is searched for while it is typed."""
CONFIG_WAIT_S = 0.3
"""How long a configuration stands before it is checked while it is typed."""
OPEN_WAIT_S = 0.15
"""How long a job stays selected before its output is fetched, when selections follow quickly."""
RETRY_S = 1.0
"""How long after a failure something that nobody asked for by a key is tried again."""
COPY_LIMIT_COUNT = 5000
"""Lines that are copied at most."""
COPY_LIMIT_BYTES = KIB * KIB
"""Of a copy; terminals take no more from a program, and many take less."""
COPY_CAP_BYTES = 64 * KIB
"""Of each of its lines."""

ACTS_AT_ONCE_COUNT = 16
"""Requests under way when something is done to many jobs."""
HISTORY_LIMIT_COUNT = 100
CLOSE_LIMIT_S = 5.0
"""How long leaving because of a signal may take; after that the process ends as it stands."""
CONFIRM_WAIT_S = 0.3
"""A question cannot be answered by yes before it could be read: keys typed in haste must not kill."""

PEEK_HEAD_BYTES = 64 * KIB
"""Of a file, by which its kind is told."""
PEEK_PIECE_BYTES = 512 * KIB
"""Of a text that is read on as one scrolls."""
PEEK_TEXT_LIMIT_BYTES = 16 * KIB * KIB
"""Of a text that is shown as such; all of a longer one is shown as hex."""
PEEK_JSON_LIMIT_BYTES = 4 * KIB * KIB
"""Of JSON that is laid out; what is longer is shown as text."""
PEEK_LAID_OUT_LIMIT_BYTES = 32 * KIB * KIB
"""Of what becomes of it: indentation may be most of it."""
JSON_PIECE_BYTES = 512 * KIB
"""Of JSON that is shown as a tree, read on as one scrolls."""
JSON_LIMIT_BYTES = 8 * KIB * KIB
"""Of JSON that is shown as a tree; of a longer one its beginning."""
JSON_VALUES_LIMIT_COUNT = 500_000
"""Of values in it; each takes some 30 bytes beside its text."""
JSON_STEPS_COUNT = 1000
"""Values that are scanned or searched in one go: a few milliseconds, then a key may be obeyed."""
JSON_TEXT_LIMIT_BYTES = 2 * KIB
"""Of a string that is shown in a row; no terminal is as wide."""
JSON_UNFOLDED_LIMIT_COUNT = 60
"""With so many values and not more, a tree is unfolded from the start."""
PEEK_HITS_LIMIT_COUNT = 10_000
TREE_LIMIT_COUNT = 100_000
"""Files of an artifact that are listed."""
TREE_PAINT_S = 0.15
"""A tree that is still read is shown anew at most this often."""
COMPLETIONS_LIMIT_COUNT = 200
"""Names that are proposed for a path that is typed."""
UPLOADS_LIMIT_COUNT = 500
"""Files in one dialog."""
PEEK_IMAGE_LIMIT_BYTES = 16 * KIB * KIB
"""A larger image is not fetched to be shown."""
PEEK_IMAGE_LIMIT_PIXELS = 64_000_000
"""A larger one is not decoded: so much takes a quarter of a gigabyte while it is made small."""
PEEK_IMAGE_ROWS_LIMIT_COUNT = 400
"""An image is made no higher than so many lines."""
