// Before the published worker, which takes node >= 20 for a browser because that has a class File, and then crashes.
'use strict';
delete globalThis.File;
