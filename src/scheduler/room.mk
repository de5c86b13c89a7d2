# The scheduler fires alarms. Its index is a database of lib/store.
bin  := dormouse-scheduler
uses := lib/store lib/jail lib/ipc lib/loop lib/sys lib/base
libs := -ljansson
