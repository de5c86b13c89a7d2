# Backups: a program of its own, started by the command line. It links libcurl because a restore has to reach a store where no node, and so no
# egress, is running; no agent's code and no message of a worker ever comes near it.
bin  := dormouse-backup
uses := lib/sys lib/base
libs := -lcurl -lcrypto -ljansson
