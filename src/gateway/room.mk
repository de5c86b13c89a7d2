bin := dormouse-gateway
uses := lib/ipc lib/jail lib/wire lib/loop lib/sys lib/base
libs := -ljansson -luv -llz4
