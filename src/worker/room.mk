# The worker runs agents: the only room with the JavaScript engine.
bin   := dormouse-worker
uses  := lib/store lib/wire lib/ident lib/jail lib/ipc lib/loop lib/sys lib/base
libs  := -lcrypto -ljansson -llz4 -lz -lm
cflags := -isystem /usr/share/wabt/wasm2c
extra := $(ENGINE)/quickjs.o

# The engine object is built once per version, for all flavours: 40 s.
$(ENGINE)/quickjs.c: tools/engine-build src/worker/engine_version.h node_modules/quickjs-wasi/quickjs.wasm
	@echo "  ENGINE wasm2c"; tools/engine-build node_modules/quickjs-wasi/quickjs.wasm $(ENGINE)
$(ENGINE)/quickjs.h: $(ENGINE)/quickjs.c
$(ENGINE)/quickjs.o: $(ENGINE)/quickjs.c
	@echo "  ENGINE gcc (takes about 40 s, once per engine version)"
	@gcc -O2 -w -fno-strict-aliasing -fPIE -DWASM_RT_MEMCHECK_SIGNAL_HANDLER=1 -isystem /usr/share/wabt/wasm2c -c $< -o $@.$$$$ && mv $@.$$$$ $@
# Its header must be there before anything that includes it is compiled (a pattern rule without a recipe would say nothing).
$(patsubst %.c,$(OUT)/%.o,$(wildcard src/worker/*.c)): | $(ENGINE)/quickjs.c
