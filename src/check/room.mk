# Opens the databases of a backup: the bytes may be anybody's, so this program has no network, no secrets, and one folder.
bin  := dormouse-check
uses := lib/store lib/jail lib/ipc lib/loop lib/sys lib/base
libs := -ljansson
