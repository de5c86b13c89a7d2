bin  := dormouse-control
uses := lib/ident lib/jail lib/ipc lib/loop lib/sys lib/base
libs := -ljansson -lcrypto -luv
