bin  := dormouse
uses := lib/loop lib/sys lib/base
libs := -ljansson -luv
