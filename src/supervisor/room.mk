bin := dormouse-supervisor
uses := lib/jail lib/conf lib/ipc lib/loop lib/sys lib/base
libs :=
