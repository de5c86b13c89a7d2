# Outbound HTTP and WebSockets: the only user of libcurl. wslay frames, llhttp (compiled by lib/wire) reads the handshake's answer.
bin := dormouse-egress
uses := lib/ipc lib/jail lib/wire lib/loop lib/sys lib/base
libs := -lcurl -lwslay -ljansson
cflags := -isystem /usr/share/include -DLLHTTP_STRICT_MODE=1
