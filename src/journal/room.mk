# The journal makes commits durable, many with one sync. Its segments are files of its own format.
bin  := dormouse-journal
uses := lib/jail lib/ipc lib/loop lib/sys lib/base
libs := -ljansson -lpthread
