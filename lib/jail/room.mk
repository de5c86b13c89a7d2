uses := lib/ipc lib/sys lib/base
libs := -lseccomp -lcap -ljansson
