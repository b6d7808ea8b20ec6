"""Data validation: from files to typed tables, Great Expectations suites, a verdict, and a report that says what to do.

Files are read by ``include.models.raw``; the programs validate_* and the room ``daily`` use this one.

What a bad input leads to. "Set aside" means: the row goes to the quarantine folder with its line number, its original
values and the reason, and is left out of the validated table. Critical stops the run, a warning only adds a note.

| bad input | verdict |
| --- | --- |
| a table's file is missing, duplicated (plain and .gz), empty, or has only a header | critical |
| a truncated or broken .gz, a file that is not UTF-8 or not CSV | critical |
| a missing, extra or repeated column | critical |
| a time zone in the timestamps | critical: the sender has to say which zone the plants' clocks use |
| text where numbers belong, an invalid timestamp, an infinite value, an empty key, a cell with a line break, \
a row with too few or too many fields | row set aside; \
critical when more than `max_rejected_share` of the table (model.yaml, 0 unless given) |
| the same key twice, with equal values | all but the first set aside; critical above `max_rejected_share` |
| the same key twice, with different values | all of them set aside; critical above `max_rejected_share` |
| what a suite expects of values: ranges, known machines, no nulls, ... | a warning within the expectation's `mostly`, \
its own severity beyond it; rows are set aside if its `meta` says `"reject_rows": true` |
| gaps and runs of nulls (tables with `every_hours`) | what `<table>_continuity.json` expects of each series |
| a check that itself fails | critical: could not be checked |
| rows in any order, a byte-order mark, CRLF, blank lines, columns in another order, `.gz` | accepted; at most an info |
"""

import os

os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")  # read when great_expectations is imported
