uses := lib/ipc lib/sys lib/base
libs := -lcrypto
