uses := lib/base
libs :=
