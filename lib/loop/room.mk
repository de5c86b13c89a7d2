uses := lib/sys lib/base
libs := -luv
