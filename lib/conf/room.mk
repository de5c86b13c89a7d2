uses := lib/base lib/sys
libs := -ljansson
