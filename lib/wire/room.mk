# llhttp is the C that Debian's node-llhttp ships; strict mode, warnings off for those three files only.
uses := lib/base
libs := -lcrypto -licuuc
cflags := -isystem /usr/share/include
extra := $(patsubst %,$(OUT)/lib/wire/llhttp_%.o,api http llhttp)
$(OUT)/lib/wire/llhttp_%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D); echo "  CC $<"
	@$(CC) -std=gnu17 -O2 -g -w -fPIE -DLLHTTP_STRICT_MODE=1 -I/usr/share/include/llhttp -c $< -o $@
